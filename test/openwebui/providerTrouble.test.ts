import { troubleIn } from '../../src/openwebui/providerTrouble';

/** Words as servers give them, by whose they are. A pause that they name is in milliseconds. */
const PASSING: Array<[whose: string, words: string, retryAfterMs?: number]> = [
  [
    'OpenAI: tokens of a minute',
    'Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29937, Requested 385. Please try again in 644ms. Visit https://platform.openai.com/account/rate-limits to learn more.',
    644,
  ],
  ['OpenAI: seconds', 'Rate limit reached for gpt-4 on tokens per min (TPM). Please try again in 9.816s.', 9_816],
  [
    'OpenAI: requests of a day',
    'Rate limit reached on requests per day (RPD): Limit 200. Please try again in 7m12s.',
    432_000,
  ],
  ['OpenAI: slow down', '{"message":"Please reduce your request rate","type":"rate_limit_error","code":"slow_down"}'],
  ['OpenAI: 500', 'The server had an error while processing your request. Sorry about that!'],
  ['OpenAI: 500, as older releases say it', 'The server had an error processing your request.'],
  ['OpenAI: 503', 'The engine is currently overloaded, please try again later'],
  ['OpenAI: its type', 'Sorry. "type":"server_error"'],
  [
    'Azure: tokens',
    'Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-05-01-preview have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 7 seconds.',
    7_000,
  ],
  ['Azure: calls', 'Rate limit is exceeded. Try again in 30 seconds.', 30_000],
  [
    'Azure: peak',
    'The system is currently experiencing high demand and cannot process your request. Your request exceeds the maximum usage size allowed during peak load. Please retry after 20 seconds.',
    20_000,
  ],
  ['Azure: time-out', 'The operation was timeout.'],
  ['Anthropic: 529', 'Overloaded'],
  ['Anthropic: the object', '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'],
  ['Anthropic: rate', "This request would exceed your organization's rate limit of 20,000 input tokens per minute."],
  ['Anthropic: 500', '{"type":"error","error":{"type":"api_error","message":"Internal server error"}}'],
  ['Gemini: 503', 'The model is overloaded. Please try again later.'],
  ['Gemini: 429', 'Resource has been exhausted (e.g. check quota).'],
  [
    'Gemini: a minute of a plan',
    'You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: generate_requests_per_minute, limit: 15\nPlease retry in 26.4s.',
    26_400,
  ],
  ['OpenRouter', 'x/y is temporarily rate-limited upstream. Please retry shortly, or add your own key'],
  ['Ollama: queue', 'server busy, please try again.  maximum pending requests exceeded'],
  ['Ollama: loading', 'unexpected server status: llm server loading model'],
  ['Ollama: start', 'timed out waiting for llama runner to start - progress 0.28 - '],
  ['Ollama: runner', 'llama runner process has terminated: exit status 2'],
  ['Ollama: runner, later', 'llama runner process no longer running: -1 '],
  ['Ollama: memory', 'model requires more system memory (19.1 GiB) than is available (1.0 GiB)'],
  ['Ollama: memory of the card', 'llama runner process has terminated: cudaMalloc failed: out of memory'],
  ['Ollama: a buffer', 'error loading model: unable to allocate CUDA0 buffer'],
  ['llama.cpp', '{"message":"Loading model","type":"unavailable_error","code":503}'],
  ['vLLM: engine', 'EngineCore encountered an issue. See stack trace (above) for the root cause.'],
  ['vLLM: engine, before V1', 'Background loop has errored already.'],
  ['vLLM: memory', 'CUDA out of memory. Tried to allocate 2.00 GiB'],
  ['vLLM: its object', '{"object":"error","message":"","type":"InternalServerError","code":500}'],
  ['LiteLLM: cooldown', 'No deployments available for selected model, Try again in 5 seconds. Passed model=gpt', 5_000],
  ['LiteLLM: parallel', 'Max parallel request limit reached'],
  [
    'LiteLLM: Azure behind it',
    'litellm.RateLimitError: AzureException RateLimitError - Your requests to gpt-5.1 have exceeded the token rate limit for your current AIServices S0 pricing tier. Please retry after 60 seconds. Received Model Group=gpt-5.1',
    60_000,
  ],
  ['LiteLLM: time-out', 'litellm.Timeout: Connection timed out after 600.0 seconds.'],
  ['LiteLLM: connection', 'litellm.APIConnectionError: OllamaException - '],
  ['LiteLLM: 500', 'litellm.InternalServerError: OpenAIException - Sorry'],
  ['a gateway: 502', '<html><body><h1>502 Bad Gateway</h1></body></html>'],
  ['a gateway: 503', '<h1>503 Service Temporarily Unavailable</h1>'],
  ['a gateway: 504', '<title>504 Gateway Time-out</title>'],
  ['Envoy', 'upstream connect error or disconnect/reset before headers. reset reason: connection termination'],
  ['Cloudflare', 'error code: 522'],
  ['Open WebUI up to 0.6.22: 429', '429: scripted failure 429'],
  ['Open WebUI up to 0.6.22: 500', '500: scripted failure 500'],
  ['Open WebUI up to 0.6.22: time-out', '500: '],
  ['Open WebUI: provider away', 'Open WebUI: Server Connection Error'],
  [
    'Open WebUI: no connection',
    "Ollama: Cannot connect to host localhost:11434 ssl:default [Connect call failed ('127.0.0.1', 11434)]",
  ],
  ['Open WebUI: no name', '[Errno -3] Temporary failure in name resolution'],
  ['Open WebUI: provider gone', 'Server disconnected'],
  ['a pipe of OpenAI’s library: connection', 'Connection error.'],
  ['a pipe of OpenAI’s library: time-out', 'Request timed out.'],
  ['aiohttp: time-out', 'Timeout on reading data from socket'],
  ['Open WebUI: Redis away', 'Error 111 connecting to 127.0.0.1:6379. Connect call failed.'],
  ['Open WebUI: Redis gone', "Error while reading from 127.0.0.1:6379 : (104, 'Connection reset by peer')"],
  ['Open WebUI: Redis back', 'Redis is loading the dataset in memory'],
  ['Open WebUI: Redis, a replica', "You can't write against a read only replica."],
  ['Open WebUI: SQLite', '(sqlite3.OperationalError) database is locked\n[SQL: UPDATE chat SET chat=?]'],
  ['Open WebUI: disk', '(sqlite3.OperationalError) database or disk is full'],
  ['Open WebUI: disk of a file', '[Errno 28] No space left on device'],
  [
    'Open WebUI: PostgreSQL away',
    '(psycopg2.OperationalError) connection to server at "127.0.0.1", port 5432 failed: Connection refused',
  ],
  ['Open WebUI: PostgreSQL ends', 'terminating connection due to administrator command'],
  ['Open WebUI: PostgreSQL starts', 'FATAL:  the database system is starting up'],
  [
    'Open WebUI: PostgreSQL full',
    'QueuePool limit of size 15 overflow 20 reached, connection timed out, timeout 30.00',
  ],
  ['a header in words', 'Too Many Requests. Retry-After: 12', 12_000],
  ['a pause in minutes', 'Too many requests, try again in 2 minutes', 120_000],
  ['a pause in hours', 'Rate limit: try again in 1h30m', 5_400_000],
];

const FINAL: Array<[whose: string, words: string]> = [
  ['OpenAI: a value', "Invalid value for 'timeout': must be positive"],
  ['any: quota of a day', 'You have exceeded your daily quota. Rate limit: 0 requests per day for this key.'],
  ['OpenRouter: free models', 'Rate limit exceeded: free-models-per-day. Add credits to unlock 1000 requests'],
  ['OpenRouter: credit', '{"code":402,"message":"This request requires more credits. Top up, or try again later"}'],
  ['OpenAI: account', 'Your organization has been disabled. rate limit'],
  ['OpenAI: quota', 'You exceeded your current quota, please check your plan and billing details.'],
  ['OpenAI: quota, as a limit', '429: Rate limit: insufficient_quota'],
  [
    'OpenAI: larger than a minute',
    'Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 36055. The input or output tokens must be reduced in order to run successfully.',
  ],
  [
    'OpenAI: context',
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
  ],
  ['OpenAI: parameter', "Unsupported parameter: 'max_tokens' is not supported with this model."],
  ['OpenAI: parameter, older', 'Unrecognized request argument supplied: timeout'],
  ['OpenAI: filter', 'Your request was rejected as a result of our safety system.'],
  ['OpenAI: key', 'Incorrect API key provided: sk-***.'],
  ['OpenAI: model', 'The model `gpt-9` does not exist or you do not have access to it.'],
  ['Azure: filter', "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."],
  ['Azure: key', 'Access denied due to invalid subscription key or wrong API endpoint.'],
  ['Azure: quota', 'Out of call volume quota. Quota will be replenished in 02:15:30.'],
  ['Anthropic: context', 'prompt is too long: 210000 tokens > 200000 maximum'],
  ['Anthropic: filter', 'Output blocked by content filtering policy'],
  ['Anthropic: key', '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'],
  ['Anthropic: credit', 'Your credit balance is too low to access the Anthropic API.'],
  ['Ollama: model', 'model "llama9" not found, try pulling it first'],
  ['Ollama: context', 'the request exceeds the available context size, try increasing it'],
  ['vLLM: context', 'The prompt (total length 9000) is longer than the maximum model length of 8192.'],
  ['LiteLLM: context', 'litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - too long'],
  ['LiteLLM: budget', 'Budget has been exceeded! Current cost: 10.1, Max budget: 10.0'],
  ['LiteLLM: key', 'litellm.AuthenticationError: AuthenticationError: OpenAIException - no'],
];

describe('the words of a failure', () => {
  it.each(PASSING.map(([whose, words, retryAfterMs]) => ({ whose, words, retryAfterMs })))(
    'that passes by itself: $whose',
    ({ words, retryAfterMs }) => {
      expect(troubleIn(words)).toEqual({ kind: 'passing', ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
    },
  );

  it.each(FINAL)('that is answered the same again: %s', (_, words) => {
    expect(troubleIn(words)).toEqual({ kind: 'final' });
  });

  it.each([
    '',
    'scripted failure 500',
    "argument of type 'JSONResponse' is not iterable",
    "'NoneType' object has no attribute 'get'",
    'The server gives no reason',
    'Expecting value: line 1 column 1 (char 0)',
    'Could not parse 500 tokens',
  ])('say nothing where no row knows them: %j', (words) => {
    expect(troubleIn(words)).toEqual({ kind: 'unknown' });
  });

  it('are read whatever stands behind, in no time', () => {
    const begunAt = performance.now();
    for (const filler of ["'", '`', ' ', 'a', 'rate ', 'try again in 1', '"type":"', 'model "', '5']) {
      expect(troubleIn(`Overloaded. ${filler.repeat(1_000_000)}`).kind).toBe('passing');
      troubleIn(filler.repeat(1_000_000));
    }
    expect(performance.now() - begunAt).toBeLessThan(1_000);
  });
});
