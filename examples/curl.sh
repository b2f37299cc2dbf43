#!/bin/sh
# The same over Temporal's HTTP API, with nothing but curl.
#
#   TEMPORAL_HTTP=http://localhost:7243 examples/curl.sh <model> [workflow id]
#
# The API is the front end's HTTP port: 7243 in docker-compose.yml, "--http-port" with "temporal server start-dev". An id
# must not contain a slash here. Starting an id again answers 409 with the run that there is; it never makes a second chat.
set -eu
model=${1:?name a model}
id=${2:-example-curl}
workflow=${TEMPORAL_HTTP:-http://localhost:7243}/api/v1/namespaces/${TEMPORAL_NAMESPACE:-default}/workflows/$id

curl --silent --show-error "$workflow" --header 'content-type: application/json' --data "{
  \"workflowType\": {\"name\": \"orchestrateChat\"},
  \"taskQueue\": {\"name\": \"openwebui-chat\"},
  \"workflowIdReusePolicy\": \"WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE\",
  \"input\": [{\"model\": \"$model\", \"prompt\": \"What is the capital of France?\"}]
}"
echo

# Where it is: stage, link to the chat, generations.
curl --silent --show-error "$workflow/query/status" --header 'content-type: application/json' --data '{}'
echo

# Waits for the end, at most about 20 seconds a call; an answer without events means: ask again.
until closing=$(curl --silent --show-error --fail --get "$workflow/history" \
  --data waitNewEvent=true --data historyEventFilterType=HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT) &&
  printf '%s' "$closing" | grep -q '"eventType"'; do sleep 1; done
printf '%s\n' "$closing"
