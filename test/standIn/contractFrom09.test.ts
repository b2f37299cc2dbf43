import { contractOfStandIn } from './contract';

// Of every profile at least one release, of most the first and the last.
contractOfStandIn(['0.9.6', '0.10.2', '0.11.0', '0.11.3', '0.11.4', '0.12.0', '0.12.4']);
