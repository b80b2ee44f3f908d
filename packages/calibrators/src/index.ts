/**
 * Calibration sets: from a file, a folder, or text that the model writes itself. Importance matrices of a model on them.
 * @module
 */

export * from './browser.js';
export { type CalibrationContext, type CalibrationOptions, calibrationSet, hashOfTokens } from './from-recipe.node.js';
export { readDocuments } from './read-documents.node.js';
