# The program alone, for ECS, Fargate and Kubernetes. docs/install.md: what is in it, and how to run it.
#
#   docker build --build-arg COMMIT="$(git rev-parse HEAD)" -t stedi-delta .
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# The dependencies are built in a layer of their own, so that a change of the source does not build them again.
COPY Cargo.toml Cargo.lock ./
COPY crates crates
RUN sed -n 's/^path = "\(.*\.rs\)"$/\1/p' Cargo.toml > targets \
    && for file in src/main.rs $(cat targets); do mkdir -p "$(dirname "$file")"; echo 'fn main() {}' > "$file"; done \
    && touch src/lib.rs \
    && cargo build --profile dist --locked --bin stedi-delta \
    && rm -rf src target/dist/.fingerprint/stedi-delta-*
COPY . .
ARG COMMIT=""
RUN STEDI_DELTA_COMMIT="$COMMIT" cargo build --profile dist --locked --bin stedi-delta

# glibc, libgcc, the roots of TLS and time zones; no shell and no package manager. The user is `nonroot`, 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/stedi-delta /usr/local/bin/stedi-delta
COPY LICENSE /usr/share/doc/stedi-delta/LICENSE
# The project: a volume, or copied by an image that begins with this one. It may be read-only.
WORKDIR /project
# Where rows are spilled. Declared, because a volume that ECS mounts otherwise belongs to root.
VOLUME ["/tmp"]
ENTRYPOINT ["/usr/local/bin/stedi-delta"]
CMD ["--help"]
