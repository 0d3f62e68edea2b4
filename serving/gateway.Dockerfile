# The gateway of one release: the shopper's door, and what it knows of shoppers; no TensorFlow.
#
# Built by `bin/ci image` from a folder that holds gateway.lock, app/ and release.tar.
ARG GATEWAY_BASE=python:3.11-slim
FROM ${GATEWAY_BASE}

COPY gateway.lock /app/gateway.lock
RUN ["python", "-m", "pip", "install", "--no-cache-dir", "--no-deps", "--require-hashes", \
  "--only-binary=:all:", "--requirement=/app/gateway.lock"]
COPY app/ /app/

ENV PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
USER 10001:10001

HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]

ENTRYPOINT ["python", "-m", "serving.gateway_server", "--release=/release", "--host=0.0.0.0", "--port=8080"]

# The release as one normalised tar, last: all that changes from day to day.
ADD release.tar /

# Labels make no layer; after the release they cannot spoil its cache.
ARG MODEL_VERSION
ARG BUNDLE_DIGEST
ARG COMMIT
LABEL org.opencontainers.image.title="pushcart-gateway" \
  org.opencontainers.image.version="${MODEL_VERSION}" \
  org.opencontainers.image.revision="${COMMIT}" \
  shop.pushcart.bundle-digest="${BUNDLE_DIGEST}"
