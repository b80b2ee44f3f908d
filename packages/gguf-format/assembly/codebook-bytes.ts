/** What the tables of all codebooks take in the end. Made by tools/ggml-grids.mjs. */
export const TABLE_BYTES: i32 = 2230144;
