import { randomUUID } from 'node:crypto';
import { RefusedError } from '../../src/openwebui/errors';
import type { Folder } from '../../src/openwebui/schemas';
import { isAtLeast, type Driver } from './driver';
import { withClient } from './product';

/** How folders are found and made by their names. */
export function aboutFolders(driver: () => Driver, release: string): void {
  const folders = (): Promise<Folder[]> => withClient(driver(), (client) => client.folders());
  const make = (name: string): Promise<Folder> => withClient(driver(), (client) => client.createFolder(name));
  const newName = (): string => `Folder ${randomUUID()}`;

  it('makes a folder at the root, and lists it with its name, its parent and when it was made', async () => {
    const name = newName();
    const { id } = await make(name);
    const listed = (await folders()).find((folder) => folder.id === id);
    expect(listed).toMatchObject({ name, parent_id: null, created_at: expect.any(Number) as number });
    expect(Math.abs(Date.now() / 1000 - (listed?.created_at ?? 0))).toBeLessThan(60);
  });

  it('refuses a second one of the same name, also in other letters', async () => {
    const name = newName();
    await make(name);
    await expect(make(name)).rejects.toThrow(RefusedError);
    await expect(make(name.toUpperCase())).rejects.toThrow(RefusedError);
    expect((await folders()).filter((folder) => folder.name === name)).toHaveLength(1);
  });

  it('takes a name for a pattern up to 0.10.2, for what it says from 0.11.3 on', async () => {
    const name = newName();
    await make(name.replace('Folder ', 'Folder-'));
    const alike = make(name.replace('Folder ', 'Folder_'));
    if (isAtLeast(release, '0.11.0')) expect(await alike).toMatchObject({ id: expect.any(String) as string });
    else await expect(alike).rejects.toThrow(RefusedError);
  });

  it("keeps a user's folders apart from those of others", async () => {
    const { id } = await make(newName());
    const theirs = await withClient(driver(), (client) => client.folders(), driver().server.stranger.token);
    expect(theirs.map((folder) => folder.id)).not.toContain(id);
  });
}
