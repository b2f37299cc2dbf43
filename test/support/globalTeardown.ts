import { stopAll } from './startedServers';

export default stopAll;
