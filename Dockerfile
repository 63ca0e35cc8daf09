# The images are build arguments, so that a mirror or a local image can stand in for them.
ARG BUILD_IMAGE=docker.io/library/rust:1.95-slim-bookworm
# glibc, CA certificates and the user 65532; no shell, no package manager. The image for C++ would have what the binary
# needs beyond that, but also OpenSSL and libstdc++, which nothing uses: a fifth of the whole.
ARG RUNTIME_IMAGE=gcr.io/distroless/base-nossl-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build

# The dependencies first, with empty sources, so that a change of ours does not build them again. Every target that
# Cargo.toml names needs its file, or Cargo refuses to read it.
COPY Cargo.toml Cargo.lock ./
COPY tests/sim/machine/Cargo.toml tests/sim/machine/
RUN mkdir -p src tests/it tests/replicas tests/sim/machine/src benches/bench \
    && echo 'fn main() {}' > src/main.rs \
    && echo 'fn main() {}' > tests/it/main.rs \
    && echo 'fn main() {}' > tests/sim/main.rs \
    && echo 'fn main() {}' > tests/replicas/main.rs \
    && echo 'fn main() {}' > benches/bench/main.rs \
    && : > src/lib.rs \
    && : > tests/sim/machine/src/lib.rs \
    && cargo build --profile dist --locked --features otel --bin serval-connect

COPY config config
COPY migrations migrations
COPY src src
# Copied files keep their times, and may be older than the empty ones that were built above.
RUN touch src/main.rs src/lib.rs \
    && cargo build --profile dist --locked --features otel --bin serval-connect \
    && mkdir -p /out/data \
    && cp target/dist/serval-connect "$(gcc -print-file-name=libgcc_s.so.1)" /out/

FROM ${RUNTIME_IMAGE}
ARG RUNTIME_IMAGE
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="serval-connect" \
      org.opencontainers.image.description="Turns ServiceNow and Slack webhooks into Serval connect calls, and loses none of them" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build --chown=0:0 --chmod=0755 /out/serval-connect /usr/local/bin/serval-connect
COPY --from=build --chown=0:0 --chmod=0644 /out/libgcc_s.so.1 /usr/lib/libgcc_s.so.1
COPY --from=build --chown=65532:65532 /out/data /data

# The environment wins over configuration files, so a file cannot move these by accident.
ENV SERVAL_CONNECT__SERVER__LISTEN=0.0.0.0:8080 \
    SERVAL_CONNECT__ADMIN__LISTEN=0.0.0.0:8081 \
    SERVAL_CONNECT__DATABASE__URL=sqlite:///data/serval-connect.db

# Nothing but /data is written, so the root file system can be read-only.
USER 65532:65532
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/usr/local/bin/serval-connect", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/serval-connect"]
CMD ["serve"]
