# syntax=docker/dockerfile:1
FROM python:3.12-slim AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/exposure
# First what seldom changes. Every package is held to its hash, and comes as a wheel, so that nothing is built or run here.
COPY requirements/runtime.txt requirements/runtime.txt
RUN /opt/exposure/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/runtime.txt
# The build backend is one of the development requirements; of these nothing gets into the image.
COPY requirements/dev.txt requirements/dev.txt
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/dev.txt
COPY pyproject.toml LICENSE README.md ./
COPY crds crds
COPY operator operator
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
  && /opt/exposure/bin/pip install --no-deps --no-index /wheels/*.whl \
  && /opt/exposure/bin/pip check \
  # The root file system is read-only later on: compiled once, here. pip has nothing to do in the image.
  && /opt/exposure/bin/pip uninstall --yes pip \
  && /opt/exposure/bin/python -m compileall -q /opt/exposure/lib

FROM python:3.12-slim
LABEL org.opencontainers.image.title="exposure-operator" \
      org.opencontainers.image.description="Isolates the namespaces behind a Kubernetes cluster's entry points" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/exposure /opt/exposure
ENV PATH=/opt/exposure/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
# A number, because Kubernetes cannot tell whether a name is root (runAsNonRoot).
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["exposure-operator"]
