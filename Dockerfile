# zslbench on the CPU. Build:  docker build -t zslbench .
# Run, with data and results kept in the current folder:
#   docker run --rm -v "$PWD:/work" zslbench run --method action2vec --dataset hmdb51
FROM python:3.11-slim-bookworm

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir -c constraints.txt ".[report]"

RUN useradd --uid 1000 --create-home zslbench && install -d -o zslbench /work
USER 1000
WORKDIR /work
ENV ZSLBENCH_DATA_ROOT=/work/data

# The quick start, so that an image that cannot run it is never built.
RUN ZSLBENCH_DATA_ROOT=/tmp/data zslbench run --method action2vec --dataset hmdb51 --results /tmp/runs \
    && rm -r /tmp/data /tmp/runs

ENTRYPOINT ["zslbench"]
CMD ["--help"]
