import { randomUUID } from 'node:crypto';
import { FormData } from 'undici';
import { DEFAULT_REPLY } from '../../dev/model';
import { textOf, type Driver } from './driver';

const NOBODY = '00000000-0000-4000-8000-000000000000';
const FACT = 'The mayor of Paris sits in the Hotel de Ville.';

/** Files and collections, and what a reply makes of them. */
export function aboutKnowledge(driver: () => Driver): void {
  const upload = async (): Promise<string> => {
    const form = new FormData();
    // The same text twice is refused as a duplicate on old releases.
    form.set('file', new File([`${FACT} ${randomUUID()}`], 'paris.txt', { type: 'text/plain' }));
    const { status, body } = await driver().call('POST', '/api/v1/files/', form);
    expect(status).toBe(200);
    const { id, data } = body as { id: string; data: { status?: string; content?: string } };
    if (driver().can.fileProcessing === 'sync') expect(data.content).toContain(FACT);
    else await driver().until(async () => (await processed(id)) === 'completed');
    return id;
  };
  const processed = async (id: string): Promise<string> => {
    const { body } = await driver().call('GET', `/api/v1/files/${id}/process/status`);
    return (body as { status: string }).status;
  };
  const collection = async (): Promise<{ id: string; fileId: string }> => {
    const form = { name: `About Paris ${randomUUID()}`, description: 'Facts' };
    const { body } = await driver().call('POST', '/api/v1/knowledge/create', form);
    const { id } = body as { id: string };
    const fileId = await upload();
    const added = await driver().call('POST', `/api/v1/knowledge/${id}/file/add`, { file_id: fileId });
    expect(added.status).toBe(200);
    return { id, fileId };
  };

  it('lists the files of a collection inside it, or on a page of their own', async () => {
    const { id, fileId } = await collection();
    const { body } = await driver().call('GET', `/api/v1/knowledge/${id}`);
    const inline = (body as { files: { id: string }[] | null }).files;
    const paged = await driver().call('GET', `/api/v1/knowledge/${id}/files`);
    if (driver().can.knowledgeFiles === 'inline') {
      expect(inline).toMatchObject([{ id: fileId }]);
      expect(paged.contentType).toBe('text/html');
    } else {
      expect(inline).toBeNull();
      expect(paged.body).toMatchObject({ items: [{ id: fileId }], total: 1 });
    }
  });

  it('answers a collection that is not there with 401 or 404', async () => {
    const { status, contentType } = await driver().call('GET', `/api/v1/knowledge/${NOBODY}`);
    expect([401, 404]).toContain(status);
    expect(contentType).toBe('application/json');
  });

  it('shows the model what is in a collection, and names it in the sources of the reply', async () => {
    const { id } = await collection();
    const turn = await driver().ask('Where does the mayor sit?', { files: [{ id, type: 'collection' }] });
    const [generation] = await driver().generations(turn);
    expect(JSON.stringify(generation?.messages)).toContain(FACT);
    const { sources } = await driver().reply(turn);
    expect(sources?.[0]?.document.join(' ')).toContain(FACT);
  });

  it('answers without anything from a collection that is not there, and without an error', async () => {
    const turn = await driver().ask('From where?', { files: [{ id: NOBODY, type: 'collection' }] });
    const reply = await driver().reply(turn);
    // Old releases name the collection all the same, with nothing from it.
    expect(reply.sources?.flatMap((source) => source.document) ?? []).toEqual([]);
    expect(reply.error ?? null).toBeNull();
    expect(textOf(reply)).toBe(DEFAULT_REPLY);
  });
}
