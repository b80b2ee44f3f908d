/** Eight signs from seven bits: the eighth makes the number of minus signs even. */
export function evenSigns(bits: number): number {
  let odd = 0;
  for (let i = 0; i < 7; i++) odd ^= (bits >> i) & 1;
  return bits | (odd << 7);
}
