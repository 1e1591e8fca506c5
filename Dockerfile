# batchscale with pinned packages and the CPU build of torch.
#
#     docker build -t batchscale .
#     docker run --rm --shm-size=2g -v "$PWD:/work" --user "$(id -u):$(id -g)" batchscale sweep study.toml
#
# For GPUs: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128, and `docker run --gpus all`.
FROM python:3.12-slim
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /opt/batchscale
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY analysis analysis
COPY batchscale batchscale
COPY study study
COPY workloads workloads
RUN torch=$(grep '^torch==' constraints.txt) \
    && pip install --no-cache-dir --index-url "$TORCH_INDEX" "$torch" \
    && pip install --no-cache-dir --constraint constraints.txt . \
    && rm -rf build ./*.egg-info

# any user may run it: Ray, matplotlib and the caches write here
ENV HOME=/tmp/home MPLCONFIGDIR=/tmp/home/matplotlib PYTHONUNBUFFERED=1
RUN mkdir -p /tmp/home && chmod 1777 /tmp/home
WORKDIR /work
ENTRYPOINT ["batchscale"]
