# syntax=docker/dockerfile:1
# The page, the binary with the page inside, and an image with nothing else: `docker build -t gogochat .`

FROM node:20-bookworm-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
COPY web/packages/client/package.json packages/client/
COPY web/app/package.json app/
COPY web/e2e/package.json e2e/
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --loglevel=error
COPY web/ ./
RUN npm run build

FROM rust:1.95-bookworm AS binary
# cmake: aws-lc-sys. libssl-dev and pkg-config: librdkafka.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends cmake libssl-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
COPY --from=page /src/web/app/dist web/app/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
    CARGO_TARGET_DIR=/target cargo build --release --locked -p gogochat-server \
 && cp /target/release/gogochat /usr/local/bin/gogochat \
 && strip --strip-debug /usr/local/bin/gogochat

FROM debian:bookworm-slim
# The public CAs: for services that are reached over TLS. libssl3: librdkafka.
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates libssl3 zlib1g \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/gogochat --create-home --shell /usr/sbin/nologin gogochat
COPY --from=binary /usr/local/bin/gogochat /usr/local/bin/gogochat
COPY deploy/ready /usr/local/bin/ready
USER gogochat
WORKDIR /var/lib/gogochat
VOLUME /var/lib/gogochat
# 8443: TLS and QUIC. 8080: page, REST and WebSocket in clear, health, metrics. 7443: edges at a core. 50051: gRPC.
EXPOSE 8443/tcp 8443/udp 8080 7443 50051
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --start-interval=1s --retries=3 CMD ["ready"]
# The binary is process 1 itself: it handles SIGTERM, and starts no children that somebody would have to reap.
STOPSIGNAL SIGTERM
ENTRYPOINT ["gogochat"]
CMD ["serve"]
