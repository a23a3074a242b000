# Stands in for docker.io/library/postgres, which cannot be pulled here: its user and its programs.

ARG BASE_IMAGE

FROM ${BASE_IMAGE}
RUN groupadd --gid 999 postgres \
    && useradd --uid 999 --gid 999 --no-create-home --home-dir / --shell /usr/sbin/nologin postgres \
    && mkdir /etc/postgresql-common \
    && echo create_main_cluster=false > /etc/postgresql-common/createcluster.conf \
    && apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-17 \
    && rm -rf /var/lib/apt/lists/*
USER 999:999
