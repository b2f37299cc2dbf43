/** F15, the part about what runs out: disks, and file descriptors. Clocks are with the others. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../../../dev/processes';
import type { Play } from '../cell';
import { STEPS } from '../steps';

const ALWAYS = 1_000;
/** Those of the sockets that were cut are taken as well. */
const FREED_MS = 1_000;
/** Shorter than the file descriptors are taken for, and longer than the pause between two polls. */
const SILENCE_MS = 4_000;

/** A token that cannot be kept is lost with its process: the next one signs in anew. */
const workersDisk: Play = {
  fault: 'F15',
  step: 'S3',
  name: "the worker's disk is full, and another worker takes over",
  credential: 'password',
  run: async (scene) => {
    await scene.fillDisk();
    const first = await scene.worker();
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    scene.inBackground(first.stop());
    await scene.worker();
    scene.mustHappen('two sign-ins', () => scene.proxy.callsTo('signIn').length >= 2);
    return { ends: ['done'] };
  },
};

/**
 * A worker without descriptors reaches nobody on new sockets, which tells nothing about Open WebUI. It is to wait by then: Node
 * ends a process that cannot begin a workflow task for want of them.
 */
const descriptors: Play = {
  fault: 'F15',
  step: 'S3',
  name: 'the worker runs out of file descriptors',
  // How long Node and the SDK bear it depends on the machine: part of the full set only.
  standard: false,
  run: async (scene) => {
    const worker = await scene.victim({ fewFiles: true });
    await scene.ask('[hold=3]');
    await scene.untilWriting();
    await scene.untilBegun('awaitReply');
    await worker.takeFiles();
    await scene.proxy.close();
    await sleep(FREED_MS);
    await scene.proxy.open();
    // The event socket is gone, so it would poll.
    const before = scene.proxy.calls.length;
    await sleep(SILENCE_MS);
    const after = scene.proxy.calls.length;
    scene.mustHappen('no request gets through without a file descriptor', () => after === before);
    return { ends: ['done'] };
  },
};

/** Temporal's SDK lets each workflow task be watched over, for which Node needs descriptors, and ends itself without. */
const ended: Play = {
  fault: 'F15',
  step: 'S2',
  name: 'the worker runs out of file descriptors and ends, and another one takes over',
  standard: false,
  run: async (scene) => {
    const worker = await scene.victim({ fewFiles: true });
    scene.mustHappen('the end of the worker', () => !isAlive(worker.pid));
    scene.fault({ ...STEPS.S2.at, kind: 'holdAfter', meanwhile: () => worker.takeFiles() });
    await scene.ask('[slow=300]');
    await scene.until('the worker has ended', () => !isAlive(worker.pid));
    await scene.worker();
    return { ends: ['done'] };
  },
};

/** As Open WebUI answers where its database cannot grow: a chat is refused without a reason. */
const serversDiskAtCreate: Play = {
  fault: 'F15',
  step: 'S1',
  name: "Open WebUI's disk is full",
  run: async (scene) => {
    const detail = 'Something went wrong :/';
    scene.fault({ ...STEPS.S1.at, kind: 'status', status: 400, detail, times: ALWAYS });
    await scene.worker();
    await scene.ask();
    return { ends: ['RequestRefused'], chats: 0 };
  },
};

/** A turn is refused with the words of the database, which quote what was to be stored. It passes, as a full disk may. */
const serversDiskAtTrigger: Play = {
  fault: 'F15',
  step: 'S2',
  name: "Open WebUI's disk is full for a while",
  run: async (scene) => {
    const statement = 'UPDATE chat SET title=?, chat=?, updated_at=? WHERE chat.id = ?';
    const detail = `(sqlite3.OperationalError) database or disk is full\n[SQL: ${statement}]\n[parameters: ('${scene.prompt()}', 1, 2)]`;
    scene.fault({ ...STEPS.S2.at, kind: 'status', status: 400, detail });
    await scene.worker();
    await scene.ask();
    return { ends: ['done'] };
  },
};

export const exhaustion: Play[] = [workersDisk, descriptors, ended, serversDiskAtCreate, serversDiskAtTrigger];
