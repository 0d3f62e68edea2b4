# The gateway of one release: the shopper's door, and what it knows of shoppers; no TensorFlow.
#
# Built by `bin/ci image` from a folder that holds packages.tar, app/ and release.tar. GATEWAY_BASE
# may name any image with Python 3.11 as `python3`.
ARG GATEWAY_BASE=python:3.11-slim
FROM ${GATEWAY_BASE}

# Installed by hash on the machine that builds: a build needs neither network nor pip, and equal
# packages are an equal layer.
ADD packages.tar /
COPY app/ /app/

ENV PYTHONPATH=/app:/app/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
USER 10001:10001

# Packages of another Python than the base's do not import: told now, not on a host.
RUN ["python3", "-c", "import serving.gateway_server"]

HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]

ENTRYPOINT ["python3", "-m", "serving.gateway_server", "--release=/release", "--host=0.0.0.0", "--port=8080"]

# The release as one normalised tar, last: all that changes from day to day.
ADD release.tar /

# Labels make no layer; after the release they cannot spoil its cache.
ARG MODEL_VERSION
ARG BUNDLE_DIGEST
ARG DATA_DIGEST
ARG DECISION
ARG COMMIT
LABEL org.opencontainers.image.title="pushcart-gateway" \
  org.opencontainers.image.version="${MODEL_VERSION}" \
  org.opencontainers.image.revision="${COMMIT}" \
  shop.pushcart.bundle-digest="${BUNDLE_DIGEST}" \
  shop.pushcart.data-digest="${DATA_DIGEST}" \
  shop.pushcart.decision="${DECISION}"
