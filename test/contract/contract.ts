import { aboutAccess } from './access';
import { aboutChats } from './chats';
import { aboutDeaths } from './deaths';
import { Driver } from './driver';
import { aboutEndings } from './endings';
import { aboutFilters } from './filters';
import { aboutFolders } from './folders';
import { aboutKnowledge } from './knowledge';
import { aboutLists } from './lists';
import { aboutPermissions } from './permissions';
import type { ContractServer, MortalServer } from './server';
import { aboutSockets } from './sockets';
import { aboutStops } from './stops';
import { aboutTurns } from './turns';

export interface ContractSubject {
  release: string;
  /** A server that others may use too. */
  start(): Promise<ContractServer>;
  /** A server that may be killed. */
  startMortal(): Promise<MortalServer>;
}

/** A real server takes its time. */
const START_TIMEOUT = 300_000;

/**
 * What the product relies on, sentence by sentence, by raw HTTP. Where releases differ, the expectation is what the
 * product's own capabilities say of the release. The same sentences are put to stand-ins and to real servers.
 */
export function contractSuite(name: string, subject: ContractSubject): void {
  const { release } = subject;
  describe(name, () => {
    describe('in life', () => {
      let current: Driver;
      beforeAll(async () => {
        current = new Driver(await subject.start());
      });
      afterAll(() => current?.server.stop());
      const driver = () => current;
      describe('lets in', () => aboutAccess(driver));
      describe('as a store of chats', () => aboutChats(driver, release));
      describe('in its lists', () => aboutLists(driver, release));
      describe('with folders', () => aboutFolders(driver, release));
      describe('asked for a reply', () => aboutTurns(driver, release));
      describe('at the end of a reply', () => aboutEndings(driver, release));
      describe('told to stop', () => aboutStops(driver, release));
      describe('with filters', () => aboutFilters(driver, release));
      describe('with knowledge', () => aboutKnowledge(driver));
      describe('on its socket', () => aboutSockets(driver, release));
    });
    describe('in a life of its own', () => {
      let server: MortalServer;
      let current: Driver;
      beforeAll(async () => {
        server = await subject.startMortal();
        current = new Driver(server);
      }, START_TIMEOUT);
      afterAll(() => server?.stop());
      const driver = () => current;
      describe('with permissions', () => aboutPermissions(driver, release));
      describe('killed', () => aboutDeaths(() => server, driver));
    });
  });
}
