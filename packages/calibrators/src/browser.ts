/**
 * What works without a file system: calibration sets of texts in memory and of text that the model writes.
 * @module
 */

export type { CalibrationSet, CalibrationSize, CalibrationTokenizer, TextGenerator } from './calibration-set.js';
export { decodeText, readJsonLines } from './decode-text.js';
export { calibrationSetFromModel } from './from-model.js';
export { type CalibrationDocument, calibrationSetFromText } from './from-text.js';
export { cutWindows } from './windows.js';
