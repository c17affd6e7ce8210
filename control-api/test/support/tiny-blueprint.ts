/** The smallest product: one ConfigMap. */
export const tinyBlueprint = (version = '1.0.0') => ({
  name: 'tiny',
  version,
  parameters: {
    type: 'object',
    properties: {
      text: { type: 'string', default: 'hello', maxLength: 100 },
      count: { type: 'integer', minimum: 1, maximum: 9, default: 1 },
      zone: { type: 'string', default: 'a', immutable: true, maxLength: 10 },
    },
  },
  nodes: [
    { id: 'config', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { text: '${params.text}' } } },
  ],
});
