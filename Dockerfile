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
# On x86-64 Rust links with lld, which folds equal functions. Packed relocations need glibc 2.36, which this Debian has.
RUN if [ "$(uname -m)" = x86_64 ]; then small="-C link-arg=-Wl,--icf=all,-z,pack-relative-relocs"; fi \
    && STEDI_DELTA_COMMIT="$COMMIT" cargo rustc --profile dist --locked --bin stedi-delta -- $small
# The libraries that it is linked with: glibc and libgcc, four files of the same Debian as the base below. Their licences,
# and what scanners of images look for, come along.
RUN ! ldd target/dist/stedi-delta | grep "not found" \
    && for file in $(ldd target/dist/stedi-delta | grep -o '/lib[^ ]*'); do install -D "$file" "libraries$file" || exit 1; done \
    && mkdir -p libraries/var/lib/dpkg/status.d \
    && for package in libc6 libgcc-s1; do \
        install -D "/usr/share/doc/$package/copyright" "libraries/usr/share/doc/$package/copyright" \
        && dpkg-query --status "$package" > "libraries/var/lib/dpkg/status.d/$package" || exit 1; \
    done

# The roots of TLS, how names of hosts are looked up, and a user, `nonroot`, 65532; no shell and no package manager.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /src/libraries /
COPY --from=build /src/target/dist/stedi-delta /usr/local/bin/stedi-delta
COPY LICENSE /usr/share/doc/stedi-delta/LICENSE
# The project: a volume, or copied by an image that begins with this one. It may be read-only.
WORKDIR /project
# Where rows are spilled. Declared, because a volume that ECS mounts otherwise belongs to root.
VOLUME ["/tmp"]
ENTRYPOINT ["/usr/local/bin/stedi-delta"]
CMD ["--help"]
