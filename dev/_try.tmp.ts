import { startOpenWebUI } from './openWebUI';
import { startScriptedModel } from './model';
import { terminalProgress } from './progress';
async function main() {
  const version = process.argv[2] ?? '0.12.4';
  const time = async <T>(label: string, p: Promise<T>) => { const t = Date.now(); const r = await p; console.log(version, label, Date.now() - t, 'ms'); return r; };
  const model = await startScriptedModel();
  const o = await time('first start', startOpenWebUI({ version, modelUrl: model.url, modelKey: model.key, progress: terminalProgress() }));
  const call = async (path: string, body?: object, token = o.token) => { const r = await fetch(o.url + path, { ...(body ? { method: 'POST', body: JSON.stringify(body) } : {}), headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' } }); const t = await r.text(); try { return JSON.parse(t) } catch { return t } };
  console.log(o.how, o.userName, o.pid);
  console.log(((await call('/api/models')) as any).data.map((m: any) => m.id).join(), (await call('/api/version')));
  const r = await time('completion', call('/api/chat/completions', { model: 'model-a', messages: [{ role: 'user', content: 'Hi [reply=pong]' }] })) as any;
  console.log(r.choices?.[0].message.content ?? r);
  const u = await o.createUser('Bob B'); console.log(u.role, u.email);
  const key = await o.createApiKey(); console.log(key.slice(0, 5), ((await call('/api/v1/auths/', undefined, key)) as any).name);
  const key2 = await o.createApiKey(u.token).catch(String); console.log('user key', key2.slice(0, 200));
  // RAG on the lean installation
  const form = new FormData(); form.set('file', new Blob(['The secret colour is teal.'], { type: 'text/plain' }), 'colour.txt');
  const f = await (await fetch(o.url + '/api/v1/files/', { method: 'POST', body: form, headers: { authorization: `Bearer ${o.token}` } })).json() as any;
  await new Promise(r => setTimeout(r, 3000));
  const st = await call(`/api/v1/files/${f.id}/process/status`); console.log('file', f.id, JSON.stringify(st).slice(0, 80));
  const k = await call('/api/v1/knowledge/create', { name: 'k', description: 'd' }) as any;
  const add = await call(`/api/v1/knowledge/${k.id}/file/add`, { file_id: f.id }) as any; console.log('add', JSON.stringify(add).slice(0, 100));
  const a = await call('/api/chat/completions', { model: 'model-a', messages: [{ role: 'user', content: 'colour? [echo]' }], files: [{ type: 'collection', id: k.id }] }) as any;
  console.log('rag has context:', JSON.stringify(a).includes('teal'));
  await time('kill', o.kill()); await time('restart', o.restart()); 
  console.log('token after restart', ((await call('/api/v1/auths/')) as any).name, o.pid);
  await time('stop', o.stop());
  const p = await time('second start', startOpenWebUI({ version, modelUrl: model.url, modelKey: model.key }));
  await time('stop', p.stop());
  await model.stop();
}
main().catch(e => console.error(e));
