# The worker and its command line. Debian, not Alpine: Temporal's native library needs glibc.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
# Compiles, and bundles the workflows, so that a worker starts without webpack.
RUN npm run build

FROM node:22-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev && npm cache clean --force

FROM node:22-bookworm-slim
# The slim image has no root certificates: the native library needs them for TLS to Temporal.
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates tini \
  && rm -rf /var/lib/apt/lists/* \
  && install --directory --owner=node --group=node --mode=0700 /var/lib/openwebui-orchestrator
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./

# NODE_OPTIONS is left to the operator. Give the container a memory limit and V8 about 60 % of it, for example
# NODE_OPTIONS=--max-old-space-size=640 in 1 GB: the worker sizes its cache of workflows by V8's limit, and the native
# library and the workflows' own sandboxes live outside it.
ENV NODE_ENV=production \
  ORCHESTRATOR_STATE_DIRECTORY=/var/lib/openwebui-orchestrator \
  ORCHESTRATOR_METRICS_ADDRESS=127.0.0.1:9464

USER node
# Healthy: the worker polls Temporal. It says nothing about Open WebUI, whose absence a worker outlives.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch(`http://${process.env.ORCHESTRATOR_METRICS_ADDRESS}/metrics`).then((answer) => answer.text()).then((text) => process.exit(/^temporal_num_pollers\\{.*\\} [1-9]/m.test(text) ? 0 : 1), () => process.exit(1))"]
# tini passes SIGTERM on, which lets running steps finish, and reaps what ends.
ENTRYPOINT ["tini", "--"]
CMD ["node", "dist/worker.js"]
