/**
 * What the words of a failure say about another try. Open WebUI hands on little more of a provider's failure than its words, and
 * from 0.9.0 nothing else; so they are read here, one row a phrase, and what no row knows stays unknown.
 */

/** `passing`: it ends by itself. `final`: asking the same once more is answered the same. */
export type Trouble =
  | { kind: 'passing'; /** The pause that the words name, in milliseconds. */ retryAfterMs?: number }
  | { kind: 'final' }
  | { kind: 'unknown' };

/** Whose words they are, and how they begin to be told apart. */
type Row = readonly [whose: string, says: RegExp];

/** How much of a failure is read, in characters: what it is about stands at its beginning, a prompt that it quotes behind. */
const READ = 2_000;

/** A limit that passes soon in the words of an exhausted quota: it names the moment of the next try. */
const IN_SPITE_OF_A_QUOTA: readonly Row[] = [
  ['OpenAI, Groq: limit of a day', /\bper day\b.{0,400}?try again in [\d.]+ ?m?s?/i],
  ['Gemini', /exceeded your current quota.{0,800}?please retry in [\d.]+m?s/i],
];

/** These go before those that pass: a refusal may stand within a "rate limit error". */
const REFUSALS: readonly Row[] = [
  ['OpenAI: quota', /exceeded your current quota|insufficient_quota|billing hard limit|account is not active/i],
  ['OpenAI: larger than the limit of a minute', /request too large for/i],
  ['OpenAI, vLLM: context', /maximum context length|context_length_exceeded|exceeds the context window/i],
  ['vLLM: context', /longer than the maximum model length|maximum model length of/i],
  ['Ollama: context', /exceeds the available context size|input length exceeds the context length/i],
  ['Anthropic: context', /prompt is too long|exceed context limit/i],
  ['Azure: filter', /content management policy|content_filter|ResponsibleAIPolicyViolation/i],
  ['OpenAI: filter', /rejected as a result of (?:our|the) safety system|content_policy_violation/i],
  ['Anthropic: filter', /content filtering policy/i],
  ['OpenAI: parameter', /(?:unsupported|unknown) (?:parameter|value)|unrecognized request argument|does not support/i],
  ['OpenAI: value', /invalid value for/i],
  ['OpenRouter, DeepSeek: credit', /requires more credits|insufficient (?:credits|balance|funds)/i],
  ['any: quota of a day', /\b(?:per[- _]?day|daily) ?(?:quota|limit|free)|-per-day\b|\bper day\b/i],
  [
    'any: account',
    /\b(?:account|organization|project) (?:\S{1,40} ){0,4}(?:suspended|disabled|deactivated|terminated)/i,
  ],
  ['OpenAI: key', /incorrect api key|invalid_api_key|you didn't provide an api key/i],
  ['Azure: key', /access denied due to (?:invalid subscription key|virtual network)/i],
  ['Azure: quota', /out of call volume quota/i],
  ['Anthropic: key', /invalid x-api-key|authentication_error|permission_error/i],
  ['Anthropic: credit', /credit balance is too low|reached your specified api usage limits/i],
  ['Ollama: model', /not found, try pulling it first|model ['"`][^'"`]{1,200}['"`] not found/i],
  ['OpenAI, vLLM: model', /the model [`'"][^`'"]{1,200}[`'"] does not exist|model_not_found/i],
  ['LiteLLM: key', /litellm\.(?:AuthenticationError|PermissionDeniedError)|invalid proxy server token/i],
  ['LiteLLM: budget', /budget has been exceeded|ExceededBudget|crossed budget/i],
  ['LiteLLM: refusal', /litellm\.(?:ContextWindowExceeded|ContentPolicyViolation|UnsupportedParams|NotFound)Error/i],
];

const PASSING: readonly Row[] = [
  ['OpenAI, LiteLLM: rate', /\brate[ _-]?limit/i],
  ['any: rate', /too many requests|\bslow[_ ]down\b|resource[_ ](?:has been )?exhausted/i],
  ['Azure: rate', /exceeds the maximum usage size allowed during peak load|experiencing high demand/i],
  ['Anthropic, OpenAI: overloaded', /\boverloaded/i],
  ['any: capacity', /\b(?:at|over|out of) capacity|capacity exceeded|server[_ ]is[_ ]busy|server busy/i],
  ['OpenAI: 500', /the server had an error (?:while )?processing your request|"type":"server_error"/i],
  ['Anthropic, Azure, vLLM: 500', /internal ?server ?error|"type":"api_error"/i],
  ['any: 503', /(?:service|temporarily|currently) ?(?:is )?unavailable|unavailable_error|try again (?:later|shortly)/i],
  ['a gateway: 5xx', /\b50[234] (?:bad gateway|service|gateway)|bad gateway|gateway time-?out/i],
  ['a gateway: nobody behind', /upstream connect error|no healthy upstream|upstream request timeout|error code: 52\d/i],
  ['Open WebUI up to 0.6.22: status before the words', /^(?:408|429|5\d\d): /],
  ['any: status in the object', /"(?:code|status)":"?(?:408|429|5\d\d)\b/],
  ['Ollama: runner', /llama runner process (?:has terminated|no longer running)|waiting for llama runner to start/i],
  ['Ollama, llama.cpp: loading', /llm server loading model|"loading model"|^(?:503: )?loading model\b/i],
  ['Ollama: memory', /model requires more system memory|unable to (?:allocate|load full model)|cudaMalloc failed/i],
  ['Ollama, vLLM: memory', /\bout of memory\b|outofmemoryerror/i],
  [
    'vLLM: engine',
    /EngineCore encountered an issue|Engine(?:Dead|Loop)?Error|engine loop (?:has died|is not running)/i,
  ],
  ['vLLM: engine, before V1', /background loop (?:has errored|is not running)/i],
  ['LiteLLM: deployments', /no deployments? available|no healthy deployment/i],
  ['LiteLLM: kinds', /litellm\.(?:Timeout|APIConnection|InternalServer|ServiceUnavailable|BadGateway)/i],
  ['LiteLLM: parallel requests', /max parallel request limit/i],
  ['Open WebUI: provider away', /open webui: server connection error/i],
  [
    'Open WebUI: no connection',
    /cannot connect to host|connect call failed|connection refused|all connection attempts failed/i,
  ],
  ['any: connection', /\bconnection error\b|connection (?:reset|aborted|timeout)|server disconnected|broken pipe/i],
  ['any: name', /name resolution|name or service not known|nodename nor servname/i],
  [
    'any: time-out',
    /\btimed? ?-?out\b|\boperation was timeout\b|timeout (?:on reading|connecting|error)|timeout_error/i,
  ],
  [
    'Open WebUI: Redis',
    /\berror -?\d{1,3} (?:connecting to|while (?:reading|writing))|error while reading from|redis\.exceptions/i,
  ],
  [
    'Open WebUI: Redis, ending',
    /connection closed by server|redis is loading the dataset|against a read only replica/i,
  ],
  ['Open WebUI: SQLite', /database (?:table |schema )?is locked|disk i\/o error|unable to open database file/i],
  ['Open WebUI: disk', /no space left|database or disk is full|\[Errno 28\]|disk quota exceeded/i],
  [
    'Open WebUI: PostgreSQL',
    /connection to server at|server closed the connection unexpectedly|could not connect to server/i,
  ],
  [
    'Open WebUI: PostgreSQL, restarting',
    /database system is (?:starting up|shutting down|in recovery)|terminating connection/i,
  ],
  ['Open WebUI: PostgreSQL, full', /too many clients already|remaining connection slots|QueuePool limit/i],
  [
    'Open WebUI: PostgreSQL, at the same time',
    /deadlock detected|could not serialize access|\(psycopg2?\.OperationalError\)/i,
  ],
];

/** @param words of a failure as they were received, not cut */
export function troubleIn(words: string): Trouble {
  // Lines would hide what belongs together, and an object's commas may be followed by a blank.
  const text = words.slice(0, READ).replace(/\s+/g, ' ').replaceAll('": ', '":');
  const says = (rows: readonly Row[]): boolean => rows.some(([, phrase]) => phrase.test(text));
  if (!says(IN_SPITE_OF_A_QUOTA)) {
    if (says(REFUSALS)) return { kind: 'final' };
    if (!says(PASSING)) return { kind: 'unknown' };
  }
  const retryAfterMs = pauseNamedIn(text);
  return { kind: 'passing', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

const UNIT_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** An amount with its unit; one without is of seconds. */
const AMOUNT = String.raw`\d{1,6}(?:\.\d{1,6})? ?(?:m?s|milliseconds?|sec(?:ond)?s?|m|min(?:ute)?s?|h|hours?)(?![a-z])`;
/** "try again in 1m30s", "retry after 20 seconds", `"retryDelay":"26s"`, "Retry-After: 20". */
const NAMED = new RegExp(
  String.raw`(?:(?:try again|retry)[ -](?:in|after):?|retryDelay":"|retry[-_]after"?:"?) ?((?:${AMOUNT} ?){1,3}|\d{1,6}\b)`,
  'i',
);

/** The pause that a failure's words ask for, in milliseconds; undefined where they name none. */
function pauseNamedIn(text: string): number | undefined {
  const named = NAMED.exec(text)?.[1];
  if (named === undefined) return undefined;
  const parts = [...named.matchAll(/(\d+(?:\.\d+)?) ?([a-z]*)/gi)];
  return Math.ceil(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * unitMs(unit ?? ''), 0));
}

function unitMs(unit: string): number {
  const short = /^(?:ms|milli)/i.test(unit) ? 'ms' : unit.charAt(0).toLowerCase();
  return UNIT_MS[short] ?? 1_000;
}
