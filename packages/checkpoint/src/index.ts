/**
 * Safetensors, model folders and Hub repositories.
 * @module
 */

export * from './browser.js';
export { type AtomicFiles, createAtomicFiles } from './files/atomic-files.node.js';
export { type AtomicFolder, type AtomicFolderOptions, createAtomicFolder } from './files/atomic-folder.node.js';
export { type FileSinkOptions, fileSink, freeBytes } from './files/file-sink.node.js';
export { fileSource } from './files/file-source.node.js';
export { isHttpUrl, openSource } from './files/open-source.node.js';
export { outputFolder } from './files/output-folder.node.js';
export { type ModelFolder, type ModelFolderOptions, openModelFolder } from './folder/model-folder.node.js';
export { type DatasetReference, type HubDataset, openHubDataset, parseDatasetReference } from './hub/open-hub-dataset.node.js';
export { type HubModel, type HubModelOptions, openHubModel } from './hub/open-hub-model.node.js';
