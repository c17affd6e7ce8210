export { customResourceDefinition } from './custom-resource-definition.ts';
export { KINDS } from './kinds.ts';
export { structuralSchema } from './structural-schema.ts';
