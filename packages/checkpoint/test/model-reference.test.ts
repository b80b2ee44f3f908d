import { parseModelReference } from '@calibrant/checkpoint';
import { describe, expect, it } from '@jest/globals';

describe('parseModelReference', () => {
  it.each([
    ['hf:org/name', { kind: 'hub', repo: 'org/name', explicit: true }],
    ['hf:org/name@v1.0', { kind: 'hub', repo: 'org/name', revision: 'v1.0', explicit: true }],
    ['hf:gpt2@refs/pr/3', { kind: 'hub', repo: 'gpt2', revision: 'refs/pr/3', explicit: true }],
    ['org/Na.me_1-B', { kind: 'hub', repo: 'org/Na.me_1-B', explicit: false }],
    ['org/name@main', { kind: 'hub', repo: 'org/name', revision: 'main', explicit: false }],
    ['https://huggingface.co/org/name', { kind: 'hub', repo: 'org/name', explicit: true }],
    ['https://huggingface.co/org/name/tree/main/', { kind: 'hub', repo: 'org/name', revision: 'main', explicit: true }],
    ['https://hf.co/org/name?x=1', { kind: 'hub', repo: 'org/name', explicit: true }],
    ['./org/name', { kind: 'path', path: './org/name' }],
    ['../name', { kind: 'path', path: '../name' }],
    ['/models/name', { kind: 'path', path: '/models/name' }],
    ['models/a/b', { kind: 'path', path: 'models/a/b' }],
    ['name', { kind: 'path', path: 'name' }],
    ['models/name.gguf', { kind: 'path', path: 'models/name.gguf' }],
    ['C:\\models\\name', { kind: 'path', path: 'C:\\models\\name' }],
    ['~/model', { kind: 'path', path: '~/model' }],
  ])('reads %s', (text, expected) => {
    expect(parseModelReference(text)).toEqual(expected);
  });

  it.each(['hf:', 'hf:a/b/c', 'hf:org/name@', 'hf:org/name@../x', 'hf:../name'])('refuses %s', (text) => {
    expect(() => parseModelReference(text)).toThrow(/hf:organisation\/name@revision/);
  });
});
