import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifySchema,
  LogController,
} from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import type { Registry } from 'prom-client';
import { z } from 'zod';
import { healthRoutes } from './http/health.ts';
import { takeJsonBodies } from './http/json-body.ts';
import { rememberMethods } from './http/method-not-allowed.ts';
import { observeRequests } from './http/metrics.ts';
import { describeApi } from './http/openapi.ts';
import { toProblem } from './http/problem-mapper.ts';
import { Problem } from './http/problems.ts';
import { traceIdOf } from './http/trace.ts';
import { apiKeyRoutes } from './resources/api-keys/routes.ts';
import { blueprintRoutes } from './resources/blueprints/routes.ts';
import { heldDeletionRoutes } from './resources/data-planes/held-deletions.ts';
import { joinTokenRoutes } from './resources/data-planes/join-tokens.ts';
import { operatorKeyRoutes } from './resources/data-planes/operator-keys.ts';
import { dataPlaneRoutes } from './resources/data-planes/routes.ts';
import { dataPlaneSettingsRoute } from './resources/data-planes/settings.ts';
import { acceptDriftRoute } from './resources/instances/accept-drift.ts';
import { changeInstanceRoutes } from './resources/instances/change.ts';
import { createInstanceRoute } from './resources/instances/create.ts';
import { readInstanceRoutes } from './resources/instances/read.ts';
import { deleteInstanceRoute } from './resources/instances/remove.ts';
import { revealOutputRoute } from './resources/instances/reveal-output.ts';
import { operationRoutes } from './resources/operations/routes.ts';
import { organizationRoutes } from './resources/organizations/routes.ts';
import type { Api, Services } from './resources/services.ts';
import { signingKeyRoutes } from './resources/signing-keys/routes.ts';
import { unknownObjectRoutes } from './resources/unknown-objects/routes.ts';

export interface AppOptions {
  services: Services;
  registry: Registry;
  logger: FastifyBaseLogger;
  draining: () => boolean;
  /** The link's side (feed, feedback, join), each in its own scope with its own authentication. */
  link?: (app: FastifyInstance) => Promise<void>;
}

const BODY_LIMIT_BYTES = 1024 * 1024;

/** The plugin tree: people's and programs' API with keys; the operators' link beside it. */
export async function buildApp(options: AppOptions): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: options.logger,
    bodyLimit: BODY_LIMIT_BYTES,
    // Slow-loris bounds; streams of the feed are answers, which these do not limit.
    requestTimeout: 30_000,
    keepAliveTimeout: 65_000,
    // One line per request, written below, with route and trace.
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: () => randomUUID(),
    routerOptions: { maxParamLength: 128 },
    // While closing, requests on open connections are answered as always; readiness keeps new ones away.
    return503OnClosing: false,
    clientErrorHandler: refuseNonHttp,
    // A path that the router can't even decode.
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  takeJsonBodies(app);
  answerProblems(app);
  app.addHook('onSend', async (_request, reply) => {
    // A client that keeps its connection would keep this process.
    if (options.draining()) reply.header('connection', 'close');
  });
  logRequests(app);
  observeRequests(app, options.registry);
  healthRoutes(app, options.services.db, options.draining);
  await describeApi(app);
  await app.register(async (scope) => {
    // First of all: who is not known learns nothing, not even what is wrong with a request.
    scope.addHook('onRequest', async (request) => void (await options.services.authenticate(request)));
    // A misspelt parameter must not be taken for none: "dryrun" would order.
    scope.addHook('onRoute', (route) => {
      route.schema = { querystring: z.strictObject({}), ...route.schema };
    });
    const api = scope.withTypeProvider<ZodTypeProvider>() as unknown as Api;
    for (const routes of RESOURCE_ROUTES) routes(api, options.services);
  });
  if (options.link) await options.link(app);
  return app;
}

const RESOURCE_ROUTES = [
  organizationRoutes,
  apiKeyRoutes,
  dataPlaneRoutes,
  heldDeletionRoutes,
  dataPlaneSettingsRoute,
  joinTokenRoutes,
  operatorKeyRoutes,
  unknownObjectRoutes,
  signingKeyRoutes,
  blueprintRoutes,
  createInstanceRoute,
  readInstanceRoutes,
  changeInstanceRoutes,
  acceptDriftRoute,
  revealOutputRoute,
  deleteInstanceRoute,
  operationRoutes,
];

function answerProblems(app: FastifyInstance): void {
  const methodsOf = rememberMethods(app);
  app.setErrorHandler(sendProblem);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const methods = methodsOf(path);
    if (methods.length === 0)
      throw new Problem('NOT_FOUND', `There is no route ${request.method} ${path}; see /openapi.json.`);
    reply.header('allow', methods.join(', '));
    throw new Problem('METHOD_NOT_ALLOWED', `${path} takes ${methods.join(', ')}, not ${request.method}.`);
  });
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = toProblem(error, (part) => fieldsOf(request.routeOptions.schema, part));
  // Who was told on purpose to come again is no mistake of ours; a crowd of them would fill the log with stacks.
  const isMeant = error instanceof Problem;
  if (problem.status >= 500 && !isMeant)
    request.log.error({ err: error, requestId: request.id }, problem.message);
  if (problem.retryAfterSeconds !== undefined) reply.header('retry-after', String(problem.retryAfterSeconds));
  // The link's routes, which no document shows, take another credential.
  const scheme = request.routeOptions.schema?.hide ? 'Felucca' : 'Bearer';
  if (problem.status === 401) reply.header('www-authenticate', `${scheme} realm="felucca"`);
  return reply
    .code(problem.status)
    .type('application/problem+json')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem.body(request.id));
}

function fieldsOf(schema: FastifySchema | undefined, part: string): string[] {
  const of = schema?.[part as 'body' | 'querystring'];
  return of instanceof z.ZodObject ? Object.keys(of.shape) : [];
}

function logRequests(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    if (request.routeOptions.logLevel === 'silent') return;
    request.log.info(
      {
        traceId: traceIdOf(request),
        method: request.method,
        route: request.routeOptions.url,
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime),
      },
      'request',
    );
  });
}

const UNREADABLE: Record<string, string> = {
  HPE_HEADER_OVERFLOW: 'The headers are larger than this server reads; send less.',
  ERR_HTTP_REQUEST_TIMEOUT: 'The request did not arrive within 30 s; send it again.',
};

/** Neither a request nor a reply exists: what came is not HTTP, too large or too slow. */
function refuseNonHttp(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const problem = new Problem(
    'MALFORMED',
    UNREADABLE[error.code ?? ''] ?? 'This is not an HTTP/1.1 request.',
  );
  const body = JSON.stringify(problem.body(randomUUID()));
  socket.end(
    `HTTP/1.1 ${problem.status} Bad Request\r\nconnection: close\r\ncontent-type: application/problem+json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
