import { execFileSync } from 'node:child_process';
import { environmentFor, exportLines } from '../../dev/localStack';
import type { OpenWebUI } from '../../dev/openWebUI';
import type { Temporal, TemporalServer } from '../../dev/temporal';

const openWebUI: OpenWebUI = {
  url: 'https://chat.example.com',
  version: '0.12.4',
  token: 'sk-key',
  userName: undefined,
  email: undefined,
  password: undefined,
  how: '',
};
const given: Temporal = { address: 'eu.example.com:7233', namespace: 'team', webUrl: undefined, version: '', how: '' };
const SETTINGS = {
  TEMPORAL_API_KEY: 'secret',
  TEMPORAL_TLS: 'true',
  TEMPORAL_PROFILE: 'team',
  XDG_CONFIG_HOME: '/settings',
  OTHER: 'other',
};

describe('the environment of a stack', () => {
  it('has all settings of a Temporal that was given, and nothing else of the process', () => {
    expect(environmentFor({ temporal: given, openWebUI }, SETTINGS)).toEqual({
      TEMPORAL_API_KEY: 'secret',
      TEMPORAL_TLS: 'true',
      TEMPORAL_PROFILE: 'team',
      XDG_CONFIG_HOME: '/settings',
      TEMPORAL_ADDRESS: 'eu.example.com:7233',
      TEMPORAL_NAMESPACE: 'team',
      OPENWEBUI_URL: 'https://chat.example.com',
      OPENWEBUI_API_KEY: 'sk-key',
    });
  });

  it('has none of them where Temporal is our own, which speaks no TLS', () => {
    const temporal = { ...given, restart: async () => undefined } as unknown as TemporalServer;
    const environment = environmentFor({ temporal, openWebUI }, SETTINGS);
    expect(environment).toMatchObject({ TEMPORAL_ADDRESS: 'eu.example.com:7233', TEMPORAL_TLS: 'false' });
    expect(environment).not.toHaveProperty('TEMPORAL_API_KEY');
  });

  it.each([`it's`, '$HOME `id` "$(id)"', 'a\\b', 'two\nlines', ''])('is set by a shell as it is: %j', (value) => {
    const script = [...exportLines({ VALUE: value }), 'printf %s "$VALUE"'].join('\n');
    expect(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })).toBe(value);
  });
});
