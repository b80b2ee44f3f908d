/**
 * Round-to-nearest quantizer.
 * @module
 */

export { type RtnOptions, rtn } from './rtn.js';
