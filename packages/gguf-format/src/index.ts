export { BLOCK_TYPES } from './blocks/block-types.js';
