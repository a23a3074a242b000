"""The control plane alone: etcd, API server, controllers and scheduler, ready in some seconds.

Several may run at once, each in its own folder. Without a node no pod ever runs: a test that wants
a pod's end patches its status. `node` adds one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

from support import programs
from support.cluster import access, processes

BINARIES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
PROGRAMS = (*BINARIES, "etcd", "openssl")
SERVICES = "10.89.0.0/24"
AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


CONTROLLERS = (
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
)
"""Of a lean control plane: what makes, ends and removes Jobs and pods, in namespaces."""


class ControlPlane:
    """A control plane in a folder of its own, which ends with the block that it is used in.

    A lean one has no scheduler, no audit log, and of the controllers those that Jobs and their pods
    need, which leaves the processor to what is measured.
    """

    def __init__(self, folder: Path, *, address: str = "127.0.0.1", lean: bool = False) -> None:
        self.folder = folder
        self.lean = lean
        self.address = address
        self.port = _free_port(address)
        self.kubeconfig = folder / "kubeconfig"
        self.audit_log = folder / "audit.log"  # one JSON document per answered request
        self._authority = folder / "certificates" / "apiserver.crt"
        self._token = secrets.token_hex(32)
        self._apiserver: processes.Process | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ControlPlane:
        self._binaries = dict(zip(PROGRAMS, programs.locate(*PROGRAMS), strict=True))
        self.folder.mkdir(parents=True)
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.folder)
            self._write_files()
            self._start_etcd(stack)
            stack.callback(self._kill_apiserver)
            self.start_apiserver()
            access.write(
                self.kubeconfig,
                server=f"https://{self.address}:{self.port}",
                authority=self._authority,
                token=self._token,
            )
            self._start_controllers(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return its output; raise what it says when it fails."""
        return access.kubectl(self.kubeconfig, *arguments, stdin=stdin)

    def start_apiserver(self) -> None:
        """Start the API server, which keeps its address, and wait until it is ready."""
        log = self.folder / "apiserver.log"
        command = [
            self._binaries["kube-apiserver"],
            "--etcd-servers=unix:client:0",
            f"--cert-dir={self._authority.parent}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-signing-key-file=accounts.key",
            "--service-account-key-file=accounts.key",
            "--token-auth-file=tokens.csv",
            "--anonymous-auth=false",
            "--authorization-mode=Node,RBAC",
            # As on OpenShift: who makes a Job that blocks its owner's deletion needs that right.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
            f"--service-cluster-ip-range={SERVICES}",
            "--allow-privileged=true",
            "--shutdown-watch-termination-grace-period=1s",  # else a stop waits a minute for them
        ]
        if not self.lean:
            command += [
                "--audit-policy-file=audit.json",
                f"--audit-log-path={self.audit_log}",
                "--audit-log-maxsize=10000",
            ]
        self._apiserver = processes.start(command, log)
        processes.until(lambda: self._answers("/readyz"), "kube-apiserver", self._apiserver, log)

    def stop_apiserver(self) -> None:
        """Ask the API server to end, and wait until it has, so that its port is free."""
        if self._apiserver is not None:
            processes.stop(self._apiserver, signal.SIGTERM)

    def restart_apiserver(self) -> None:
        """Stop the API server and start it again."""
        self.stop_apiserver()
        self.start_apiserver()

    def _kill_apiserver(self) -> None:
        if self._apiserver is not None:
            processes.stop(self._apiserver)

    def _write_files(self) -> None:
        key = "ecparam -genkey -noout -name prime256v1 -out accounts.key"
        subprocess.run([self._binaries["openssl"], *key.split()], cwd=self.folder, check=True)
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self._token},admin,admin,"system:masters"\n', encoding="utf-8")
        (self.folder / "audit.json").write_text(json.dumps(AUDIT), encoding="utf-8")

    def _start_etcd(self, stack: contextlib.ExitStack) -> None:
        """Start etcd on sockets in the folder: it needs no port, and so never lacks one."""
        command = [
            self._binaries["etcd"],
            "--data-dir=etcd",
            "--unsafe-no-fsync",
            "--listen-client-urls=unix://client:0",
            "--advertise-client-urls=unix://client:0",
            "--listen-peer-urls=unix://peer:0",
            "--initial-advertise-peer-urls=unix://peer:0",
            "--initial-cluster=default=unix://peer:0",
        ]
        process = processes.start(command, self.folder / "etcd.log")
        stack.callback(processes.stop, process)

    def _start_controllers(self, stack: contextlib.ExitStack) -> None:
        """Start what acts on resources, and wait for what it makes and every pod needs."""
        common = [
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=1000",  # the default of 20 a second alone costs seconds at the start
            "--kube-api-burst=1000",
        ]
        manager = [
            self._binaries["kube-controller-manager"],
            *common,
            "--use-service-account-credentials",
            f"--flex-volume-plugin-dir={self.folder}/plugins",
            "--service-account-private-key-file=accounts.key",
            f"--root-ca-file={self._authority}",
        ]
        log = self.folder / "controllers.log"
        if self.lean:
            manager += [f"--controllers={','.join(CONTROLLERS)}"]
        else:
            scheduler = [self._binaries["kube-scheduler"], *common]
            watching = processes.start(scheduler, self.folder / "scheduler.log")
            stack.callback(processes.stop, watching)
        process = processes.start(manager, log)
        stack.callback(processes.stop, process)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        processes.until(lambda: self._answers(account), "kube-controller-manager", process, log)

    def _answers(self, path: str) -> bool:
        """Tell whether the API server answers a request for a path with success."""
        try:
            context = ssl.create_default_context(cafile=self._authority)
            connection = http.client.HTTPSConnection(
                self.address, self.port, timeout=5, context=context
            )
            with contextlib.closing(connection):
                connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
                return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False  # no certificate yet, or nobody listens


def _free_port(address: str) -> int:
    """Return a port that nobody listens on, below those that the kernel gives to clients."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind((address, port))
            return port
