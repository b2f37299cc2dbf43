import { join } from 'node:path';
import type { ModelEndpoint } from './chooseModel';
import { startService, type Service } from './processes';

export interface OpenWebUIProcess {
  version: string;
  /** The `open-webui` program of that release. */
  program: string;
  port: number;
  dataDirectory: string;
  secretKey: string;
  model: ModelEndpoint;
  /** Settings that win over ours. */
  environment?: Record<string, string> | undefined;
  /** Default: in the data directory. */
  logFile?: string | undefined;
}

/** A slow disk and the first start of a release, which compiles its Python, included. */
const BOOT_LIMIT = 240_000;

/** Runs Open WebUI on loopback. */
export async function serveOpenWebUI(process: OpenWebUIProcess): Promise<Service> {
  const { version, program, port, dataDirectory } = process;
  return startService({
    name: `Open WebUI ${version}`,
    command: program,
    args: ['serve', '--host', '127.0.0.1', '--port', String(port)],
    environment: { ...inherited(), ...settings(process), ...process.environment },
    logFile: process.logFile ?? logFile(dataDirectory),
    readyWithin: BOOT_LIMIT,
    ready: async () => (await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2_000) })).ok,
    // It waits for open connections, of which a test may have left some.
    grace: 3_000,
  });
}

export function logFile(dataDirectory: string): string {
  return join(dataDirectory, 'server.log');
}

/** Not the whole environment: Open WebUI reads hundreds of variables, and takes OPENAI_API_KEY for its own. */
function inherited(): NodeJS.ProcessEnv {
  const names = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'SSL_CERT_FILE'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

function settings({ dataDirectory, secretKey, model }: OpenWebUIProcess): Record<string, string> {
  return {
    PYTHONUNBUFFERED: '1',
    DATA_DIR: dataDirectory,
    WEBUI_SECRET_KEY: secretKey,
    // The environment decides at every start; what an administrator changes holds until the next one.
    RESET_CONFIG_ON_START: 'True',
    OPENAI_API_BASE_URLS: model.url,
    OPENAI_API_KEYS: model.key,
    ENABLE_OLLAMA_API: 'False',
    ENABLE_EVALUATION_ARENA_MODELS: 'False',
    RAG_EMBEDDING_ENGINE: 'openai',
    RAG_EMBEDDING_MODEL: 'text-embedding-3-small',
    RAG_OPENAI_API_BASE_URL: model.url,
    RAG_OPENAI_API_KEY: model.key,
    // Renamed in 0.6.37, where users also came to need a permission for it.
    ENABLE_API_KEY: 'True',
    ENABLE_API_KEYS: 'True',
    USER_PERMISSIONS_FEATURES_API_KEYS: 'True',
    OFFLINE_MODE: 'True',
    HF_HUB_OFFLINE: '1',
    DO_NOT_TRACK: 'true',
    SCARF_NO_ANALYTICS: 'true',
    ANONYMIZED_TELEMETRY: 'false',
  };
}
