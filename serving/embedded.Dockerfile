# The embedded server with its LiteRT engine, to be SERVING_BASE where TF Serving's image cannot be
# had or is too large: the same program, ports, flags and configuration; no TensorFlow.
#
# Built by `bin/ci image` for `[serving] base_image = "embedded"`, from a folder that holds
# packages.tar and app.tar.
ARG DEBIAN_BASE=debian:bookworm-slim
FROM ${DEBIAN_BASE}

ADD packages.tar /
# /app, and /usr/bin/tensorflow_model_server.
ADD app.tar /

ENV PYTHONPATH=/app:/app/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8500 8501
USER 10001:10001

# Packages of another Python than the base's do not import: told now, not on a host.
RUN ["python3", "-c", "import serving.edge_server, serving.embedded.litert_engine"]

ENTRYPOINT ["/usr/bin/tensorflow_model_server"]
