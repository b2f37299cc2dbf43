import { connectionsSetUp } from '../../src/commands/models';

describe('the connections that are set up', () => {
  const before = process.env;
  beforeEach(() => {
    process.env = {};
  });
  afterEach(() => {
    process.env = before;
  });

  it('are told by name and URL, without what is secret', () => {
    Object.assign(process.env, { OPENWEBUI_URL: 'http://open-webui.test', OPENWEBUI_API_KEY: 'sk-very-secret' });
    expect(connectionsSetUp()).toEqual([['default', 'http://open-webui.test']]);
  });

  it('are none where the settings are missing', () => {
    expect(connectionsSetUp()).toEqual([]);
  });
});
