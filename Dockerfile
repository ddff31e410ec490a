# An image of xmtf, for CPUs or for NVIDIA GPUs:
#
#   docker build --build-arg INDEX=URL -t xmtf .
#   docker build --build-arg INDEX=URL --build-arg TORCH_INDEX=URL --build-arg DEVICE=cuda -t xmtf:cuda .
#   docker run --rm -v "$PWD:/work" xmtf run smoke/bloom-tiny
#
# INDEX is the package index to install from; there is no default. TORCH_INDEX is the one with the torch for DEVICE, where
# that is another. scripts/dockerfile_runs.py carries out what stands here without docker.

FROM python:3.11.11-slim-bookworm AS wheel
ARG INDEX
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY recipes recipes
COPY examples examples
RUN : "${INDEX:?name a package index: --build-arg INDEX=URL}" \
    && python -m pip wheel --no-cache-dir --no-deps --index-url "$INDEX" --wheel-dir /dist .

FROM python:3.11.11-slim-bookworm
ARG INDEX
ARG TORCH_INDEX
ARG DEVICE=cpu
ENV PATH=/opt/xmtf/bin:$PATH
RUN useradd --create-home --uid 10001 xmtf \
    && install --directory --owner xmtf /work \
    && python -m venv /opt/xmtf
COPY constraints.txt /dist/
RUN case "$DEVICE" in cpu|cuda) ;; *) echo "DEVICE is cpu or cuda, not $DEVICE" >&2; exit 2 ;; esac \
    && : "${INDEX:?name a package index: --build-arg INDEX=URL}" \
    && pip install --no-cache-dir --constraint /dist/constraints.txt --index-url "${TORCH_INDEX:-$INDEX}" \
        --extra-index-url "$INDEX" torch
COPY --from=wheel /dist /dist
RUN extras=train,studio \
    && if [ "$DEVICE" = cuda ]; then extras=$extras,gpu; fi \
    && pip install --no-cache-dir --constraint /dist/constraints.txt --index-url "$INDEX" "$(echo /dist/*.whl)[$extras]" \
    && rm -r /dist
RUN python -c 'import sys, torch; found = "cuda" if torch.version.cuda else "cpu"; \
sys.exit(found != sys.argv[1] and f"this torch is for {found}: name a TORCH_INDEX with one for {sys.argv[1]}")' "$DEVICE"
USER 10001
WORKDIR /work
RUN xmtf --version && xmtf recipe list
ENTRYPOINT ["xmtf"]
CMD ["--help"]
