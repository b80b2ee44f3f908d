/**
 * @typedef {object} JsonSchema
 * @property {string | undefined} [type]
 * @property {string} [description]
 * @property {unknown} [default]
 * @property {unknown} [const]
 * @property {readonly unknown[]} [enum]
 * @property {readonly JsonSchema[]} [anyOf]
 * @property {JsonSchema} [items]
 * @property {Record<string, JsonSchema>} [properties]
 * @property {JsonSchema | boolean} [additionalProperties]
 * @property {readonly string[]} [required]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [exclusiveMinimum]
 * @property {number} [exclusiveMaximum]
 */

/**
 * The fields of an object schema as a Markdown table; fields of nested objects follow their parent as `parent.field`.
 *
 * @param {JsonSchema} schema
 * @param {Record<string, unknown>} [defaults] what parsing an empty object gives, where the schema itself does not say it
 */
export function schemaTable(schema, defaults = {}) {
  const rows = fieldRows(schema, defaults, '');
  const described = rows.some(([, , , meaning]) => meaning !== '');
  const columns = described ? 4 : 3;
  const head = ['option', 'value', 'default', 'meaning'].slice(0, columns);
  return [head, head.map(() => '---'), ...rows.map((row) => row.slice(0, columns))].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

/**
 * @param {JsonSchema} schema
 * @param {Record<string, unknown>} defaults
 * @param {string} prefix
 * @returns {string[][]}
 */
function fieldRows(schema, defaults, prefix) {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const value = field.default ?? nameOf(defaults[name]);
    const fallback = value === undefined ? (schema.required?.includes(name) ? 'required' : '–') : code(JSON.stringify(value));
    const row = [code(prefix + name), typeOf(field), fallback, cell(field.description ?? '')];
    return [row, ...(field.properties ? fieldRows(field, {}, `${prefix}${name}.`) : [])];
  });
}

/**
 * A plug-in without options is written as its name.
 *
 * @param {unknown} value
 */
function nameOf(value) {
  if (typeof value !== 'object' || value === null || !('name' in value)) return value;
  const { name, options } = /** @type {{ name: unknown, options?: object }} */ (value);
  return Object.keys(options ?? {}).length === 0 ? name : value;
}

/**
 * @param {JsonSchema} schema
 * @returns {string}
 */
function typeOf(schema) {
  if (isNamed(schema)) return 'a name, or a name and options';
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.const !== undefined) return code(JSON.stringify(schema.const));
  if (schema.enum) return schema.enum.map((value) => code(JSON.stringify(value))).join(', ');
  if (schema.type === 'array') return `list: ${schema.items ? typeOf(schema.items) : 'anything'}`;
  if (schema.type === 'string') return 'text';
  if (schema.type === 'boolean') return '`true`, `false`';
  if (schema.type === 'integer') return `whole number${range(schema)}`;
  if (schema.type === 'number') return `number${range(schema)}`;
  if (schema.type === 'object' && schema.properties) return 'object, see below';
  if (schema.type === 'object' && typeof schema.additionalProperties === 'object')
    return `object: any key → ${typeOf(schema.additionalProperties)}`;
  return schema.type ?? 'anything';
}

/** @param {JsonSchema} schema */
function isNamed({ anyOf }) {
  return anyOf?.length === 2 && anyOf[0].type === 'string' && anyOf[1].properties?.name !== undefined;
}

/** @param {JsonSchema} schema */
function range({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  const low =
    minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER
      ? `≥ ${minimum}`
      : exclusiveMinimum === undefined
        ? ''
        : `> ${exclusiveMinimum}`;
  const high =
    maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
      ? `≤ ${maximum}`
      : exclusiveMaximum === undefined
        ? ''
        : `< ${exclusiveMaximum}`;
  const bounds = [low, high].filter(Boolean).join(', ');
  return bounds && `, ${bounds}`;
}

/** @param {string} text */
function code(text) {
  return `\`${text.replaceAll('|', '\\|')}\``;
}

/** @param {string} text */
function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
}
