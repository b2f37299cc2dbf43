import { mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { startService, type Service } from '../processes';
import type { Programs } from './programs';
import { answers } from './tcp';

export interface NginxOptions {
  directory: string;
  port: number;
  /** The ports of the servers behind it. */
  upstreams: number[];
  /** Whether a client is always led to the same server. Default false: to each in turn. */
  sticky?: boolean;
}

/** A gateway on loopback before several Open WebUIs, set up as Open WebUI's own documentation has it. */
export async function startNginx({ nginx }: Programs, options: NginxOptions): Promise<Service> {
  const { directory, port } = options;
  await mkdir(join(directory, 'temporary'), { recursive: true });
  const configuration = join(directory, 'nginx.conf');
  await writeFile(configuration, configurationOf(options));
  return startService({
    name: 'nginx',
    command: nginx,
    args: ['-p', directory, '-e', 'stderr', '-c', configuration],
    environment: { PATH: process.env['PATH'] },
    logFile: join(directory, 'nginx.log'),
    logIsTemporary: true,
    ready: () => answers(port),
    readyWithin: 30_000,
  });
}

export function configurationOf({ directory, port, upstreams, sticky = false }: NginxOptions): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
${userInfo().uid === 0 ? 'user root;' : ''}
events {
  worker_connections 4096;
}
http {
  access_log off;
  ${temporary.map((kind) => `${kind}_temp_path ${directory}/temporary/${kind};`).join('\n  ')}
  client_max_body_size 0;
  upstream open_webui {
    ${sticky ? 'ip_hash;' : ''}
    ${upstreams.map((each) => `server 127.0.0.1:${each};`).join('\n    ')}
  }
  map $http_upgrade $connection_header {
    default upgrade;
    '' '';
  }
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_buffering off;
    location / {
      proxy_set_header Connection '';
      proxy_read_timeout 300s;
      proxy_pass http://open_webui;
    }
    location /ws/ {
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
      proxy_read_timeout 3600s;
      proxy_pass http://open_webui;
    }
  }
}
`;
}
