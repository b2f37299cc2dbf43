/** Every workflow of this product: the entry of the workflow bundle. */
export { orchestrateChat } from './orchestrateChat';
export { prepareBatch } from './prepareBatch';
export { runBatch } from './runBatch';
export { runPage } from './runPage';
