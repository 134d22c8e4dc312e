# The command in a small image: a first stage builds the wheel, the second holds nothing but its installation.
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY proto proto
COPY topology topology
COPY xds xds
COPY envoy envoy
COPY cellplane cellplane
RUN python -m venv /opt/cellplane && /opt/cellplane/bin/pip install --no-cache-dir .

FROM python:3.13-slim
COPY --from=build /opt/cellplane /opt/cellplane
RUN useradd --system --uid 10001 --home-dir /var/lib/cellplane --create-home cellplane
ENV PATH=/opt/cellplane/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/cellplane
# 18000 is xDS, 18001 is status and metrics.
EXPOSE 18000 18001
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:18001/readyz', timeout=2)"]
ENTRYPOINT ["cellplane"]
CMD ["control-plane", "--help"]
