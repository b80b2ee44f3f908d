/**
 * Finds a name that occurs twice in one object of a JSON text. `JSON.parse` silently keeps the last of them, so that two readers
 * can see two different tensors under one name.
 *
 * @param json well-formed JSON (checked by `JSON.parse` before)
 * @returns the first name that is repeated, or undefined
 */
export function duplicateName(json: string): string | undefined {
  // One entry per open bracket: the names seen in an object, or undefined for an array.
  const open: (Set<string> | undefined)[] = [];
  let nameExpected = false;
  let at = 0;
  while (at < json.length) {
    const character = json[at];
    if (character === '"') {
      const end = endOfString(json, at);
      const names = open.at(-1);
      if (nameExpected && names) {
        const name = JSON.parse(json.slice(at, end)) as string;
        if (names.has(name)) return name;
        names.add(name);
        nameExpected = false;
      }
      at = end;
      continue;
    }
    if (character === '{') {
      open.push(new Set());
      nameExpected = true;
    } else if (character === '[') open.push(undefined);
    else if (character === '}' || character === ']') {
      open.pop();
      nameExpected = false;
    } else if (character === ',') nameExpected = open.at(-1) !== undefined;
    at++;
  }
  return undefined;
}

/** The position behind the closing quote of the string that starts at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at + 1;
}
