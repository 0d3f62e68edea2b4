# The agents, by role; the context is the project. An agent has no secret inside, and runs no root.
ARG AGENT_BASE=python:3.11-slim-bookworm
ARG JENKINS_IMAGE=jenkins/jenkins:2.568.2-lts-jdk25
ARG DOCKER_IMAGE=docker:28-cli

FROM ${JENKINS_IMAGE} AS controller
FROM ${DOCKER_IMAGE} AS docker-cli

# git checks out, ssh reaches the hosts of a deploy, sshd lets the controller in.
FROM ${AGENT_BASE} AS agent
# hadolint ignore=DL3008
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates git openssh-client openssh-server \
  && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*
# The controller's own Java: the two ends of a connection are never of different versions.
COPY --from=controller /opt/java/openjdk /opt/java/openjdk
COPY infra/jenkins/sshd_config /etc/pushcart/sshd_config
COPY infra/jenkins/agent.sh /usr/local/bin/agent.sh
# New volumes at these two places take over who owns them.
RUN useradd --uid 1000 --user-group --create-home --shell /bin/sh --password '*' jenkins \
  && install -d -o jenkins -g jenkins /srv/pushcart /srv/pushcart/artifacts /srv/pushcart/state
EXPOSE 2222
USER 1000:1000
WORKDIR /home/jenkins
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 \
  CMD ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 2222), 4).close()"]
ENTRYPOINT ["/usr/local/bin/agent.sh"]

# Builds and pushes images, by an engine beside it.
FROM agent AS docker
COPY --from=docker-cli /usr/local/bin/docker /usr/local/bin/docker

# Runs `bin/ci check`, whose tests start the real services.
FROM agent AS linux
USER 0
COPY bin/ci /opt/services/bin/ci
COPY ci /opt/services/ci
RUN /opt/services/bin/ci services && rm -rf /opt/services /var/lib/apt/lists/*
USER 1000:1000
