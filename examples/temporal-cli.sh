#!/bin/sh
# The same with Temporal's command line alone: what any language does through its Temporal SDK.
#
#   examples/temporal-cli.sh <model> [workflow id]
#
# Starting a workflow id again gives the run that there is; it never makes a second chat.
set -eu
model=${1:?name a model}
id=${2:-chat-example-cli}

temporal workflow start \
  --type orchestrateChat \
  --task-queue openwebui-chat \
  --workflow-id "$id" \
  --id-reuse-policy RejectDuplicate \
  --input "{\"model\": \"$model\", \"prompt\": \"What is the capital of France?\"}"

# Where it is: stage, link to the chat, generations.
temporal workflow query --workflow-id "$id" --type status

# Waits for the end.
temporal workflow result --workflow-id "$id"
