# Built in one stage, run from another that holds only the libraries it needs. Base: Debian 13.
ARG BASE=debian:trixie-slim
FROM ${BASE} AS build
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    ca-certificates gcc make pkg-config libc6-dev libcurl4-openssl-dev libcjson-dev libyaml-dev libwebsockets-dev \
    libssl-dev libpcre2-dev python3 >/dev/null
WORKDIR /src
COPY Makefile ./
COPY agent agent
COPY controls controls
COPY tests/lib tests/lib
RUN make -j2 all && strip build/eucs-agent

FROM ${BASE}
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    ca-certificates libcurl4 libcjson1 libyaml-0-2 libwebsockets19t64 libssl3t64 libpcre2-8-0 >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/* && install -d -o 65532 -g 65532 -m 0700 /var/lib/eucs-agent
COPY --from=build /src/build/eucs-agent /usr/local/bin/eucs-agent
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/eucs-agent"]
CMD ["help"]
