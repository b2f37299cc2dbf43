/** Every workflow of this product: the entry of the workflow bundle. */
export { orchestrateChat } from './orchestrateChat';
