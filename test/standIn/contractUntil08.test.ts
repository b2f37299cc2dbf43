import { contractOfStandIn } from './contract';

// Of every profile at least one release, of most the first and the last, and the odd ones between them.
contractOfStandIn(['0.6.15', '0.6.22', '0.6.30', '0.6.40', '0.6.41', '0.6.43', '0.7.2', '0.8.10', '0.8.12']);
