import fastifySwagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import { z } from 'zod';

const ifMatch = z.string().describe('ETag of the version that you read, or *');
const idempotencyKey = z
  .string()
  .optional()
  .describe('1 to 128 printable characters; a repeat with the same key gets the first answer, for a day');

// Loose, because every request has other headers too; what is wrong with one of these is said by whoever reads it.
const headers = <T extends z.ZodRawShape>(shape: T) => z.looseObject(shape);
/** Request headers of a mutation. */
export const mutationHeaders = headers({ 'idempotency-key': idempotencyKey });
/** Of a mutation that may say what it was based on; whether it must is the route's. */
export const changeHeaders = headers({ 'idempotency-key': idempotencyKey, 'if-match': ifMatch.optional() });
export const waitHeaders = headers({
  prefer: z.string().optional().describe('wait=<seconds>, at most 60: answer as soon as it is done'),
});

/** Headers of answers, by the name under which the document explains them once. */
const HEADERS: Record<string, string> = {
  'X-Request-Id': 'Name of this request in our log',
  'Retry-After': 'Seconds to wait before it is worth trying again',
  ETag: 'Version of an Instance; send it as If-Match',
  Location: 'What was made, or with 202 the operation to follow',
  Allow: 'With 405: the methods of this path',
  'WWW-Authenticate': 'With 401: how to authenticate',
  'Idempotent-Replayed': '"true" if this is the stored answer of an earlier request with the same key',
};
const OF_STATUS: Record<string, string[]> = {
  '202': ['ETag', 'Location', 'Retry-After', 'Idempotent-Replayed'],
  '200': ['ETag', 'Retry-After'],
  '201': ['Location', 'Idempotent-Replayed'],
  '4xx': ['Retry-After', 'Allow', 'WWW-Authenticate'],
  '5xx': ['Retry-After'],
};

/** Serves the document and makes it from the routes' schemas. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Felucca control-plane API',
        version: '1.0.0',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: {
        headers: Object.fromEntries(
          Object.entries(HEADERS).map(([name, description]) => [
            name,
            { description, schema: { type: 'string' as const } },
          ]),
        ),
        securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'API key, fel_…' } },
      },
      security: [{ apiKey: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      const { openapiObject } = document;
      for (const path of Object.values(openapiObject.paths ?? {}))
        for (const [method, operation] of Object.entries(path ?? {})) {
          describeResponses(operation);
          // 428 says so, with a reason; a schema could only say that it is missing.
          if (method === 'patch' || method === 'delete') requireIfMatch(operation);
        }
      return openapiObject;
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}

function describeResponses(operation: unknown): void {
  const { responses = {} } = (operation ?? {}) as { responses?: Record<string, { headers?: object }> };
  for (const [status, response] of Object.entries(responses))
    response.headers = Object.fromEntries(
      ['X-Request-Id', ...(OF_STATUS[status.toLowerCase()] ?? [])].map((name) => [
        name,
        { $ref: `#/components/headers/${name}` },
      ]),
    );
}

function requireIfMatch(operation: unknown): void {
  const { parameters = [] } = operation as { parameters?: { name: string; required?: boolean }[] };
  for (const parameter of parameters) if (parameter.name === 'if-match') parameter.required = true;
}
