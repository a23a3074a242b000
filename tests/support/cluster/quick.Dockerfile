# A trainer that speaks the contract and is done in a second, for tests of everything around it.

ARG BASE_IMAGE

FROM ${BASE_IMAGE} AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/*

# Word for word as for the trainer, so that the layer is built once.
FROM python AS tools
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir uv==0.13.9 cyclonedx-bom==7.5.0

FROM tools AS packages
ENV PATH=/opt/tools/bin:$PATH UV_SYSTEM_CERTS=true UV_NO_CACHE=true UV_COMPILE_BYTECODE=true
WORKDIR /build
COPY trainer/requirements.txt ./
RUN --mount=type=secret,id=uv.toml,target=/etc/uv/uv.toml \
    uv venv /opt/venv \
    && uv pip install --python /opt/venv --constraints requirements.txt prometheus-client
COPY trainer/contract contract
RUN uv pip install --python /opt/venv --no-deps ./contract && rm /opt/venv/.lock

FROM python
COPY --from=packages /opt/venv /opt/venv
COPY tests/support/quick_trainer.py /opt/quick_trainer.py
ENV PATH=/opt/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /workspace
EXPOSE 9090
ENTRYPOINT ["python", "/opt/quick_trainer.py"]
