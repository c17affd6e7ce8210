import {
  canonicalJson,
  createScope,
  driftText,
  driftValue,
  type FieldOrigin,
  parameterOfEdit,
  parameterOfField,
  plannedChildren,
  pointerSegments,
  tenantNamespace,
} from '@felucca/contract';
import { z } from 'zod';
import { changeHeaders } from '../../http/openapi.ts';
import { notFound, Problem } from '../../http/problems.ts';
import type { Api, Services } from '../services.ts';
import {
  changeInstance,
  changeResponse,
  dryRunQuery,
  pinnedBlueprint,
  planInstanceChange,
  type Wish,
} from './change.ts';
import { compiled } from './plan.ts';
import { type DriftRow, findDrift, type InstanceRow } from './queries.ts';
import { instanceParams } from './shape.ts';

export function acceptDriftRoute(api: Api, services: Services): void {
  api.post(
    '/v1/organizations/:organization/instances/:instance/drift/:drift/accept',
    {
      schema: {
        tags: ['instances'],
        summary:
          'Take the value of a drifted field over into the parameter that it comes from: a change like any other (needs If-Match)',
        headers: changeHeaders,
        params: instanceParams.extend({ drift: z.string().regex(/^\d{1,18}$/, 'must be the id of a drift') }),
        querystring: dryRunQuery,
        response: changeResponse,
      },
    },
    (request, reply) => {
      const { params } = request;
      const wish = acceptance(params.drift);
      return request.query.dryRun === 'true'
        ? planInstanceChange(services, request, reply, params, wish)
        : changeInstance(services, request, reply, params, wish, true);
    },
  );
}

/** The operator never keeps a value behind the row's back: what is accepted becomes the row's own. */
const acceptance =
  (id: string): Wish =>
  async (tx, before, organization) => {
    const drift = await findDrift(tx, before, id);
    if (!drift) throw notFound('drift of this Instance');
    const blueprint = compiled(await pinnedBlueprint(tx, before.blueprintName, before.blueprintVersion));
    const origin = originOf(blueprint, organization, before, drift);
    if ('refusal' in origin) throw notAcceptable(drift, origin.refusal);
    const { parameter, schema } = origin;
    const names = pointerSegments(parameter);
    const current = names.reduce<unknown>(
      (value, name) => (value as Record<string, unknown> | undefined)?.[name],
      before.parameters,
    );
    if (!tells(drift.expected, current, schema))
      throw notAcceptable(
        drift,
        `it was found while another value of ${parameter} was wanted (${drift.expected}); look at the newest drift`,
      );
    const value = driftValue(drift.actual, schema);
    if (value === undefined)
      throw notAcceptable(drift, `its record does not tell the whole value; set ${parameter} yourself`);
    const parameters = names.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);
    return {
      patch: { parameters: parameters as Record<string, unknown> },
      audit: { drift: id, parameter },
    };
  };

function originOf(
  blueprint: ReturnType<typeof compiled>,
  organization: string,
  { name, parameters }: InstanceRow,
  { object, path }: DriftRow,
): FieldOrigin {
  if (object === `Instance/${name}`) return parameterOfEdit(path, blueprint.parameters);
  const instance = { name, organization, namespace: tenantNamespace(organization), uid: '' };
  const children = plannedChildren(blueprint, createScope(blueprint, parameters, instance));
  const child = children.find((item) => `${item.compiled.kind}/${item.name}` === object);
  return child
    ? parameterOfField(child.compiled, path, blueprint.parameters)
    : { refusal: `${object} is no child of this version; look at the newest drift` };
}

const tells = (text: string, value: unknown, schema: Parameters<typeof driftValue>[1]): boolean =>
  text === driftText(value) ||
  canonicalJson(driftValue(text, schema) ?? null) === canonicalJson(value ?? null);

const notAcceptable = ({ object, path }: DriftRow, why: string): Problem =>
  new Problem('DRIFT_NOT_ACCEPTABLE', `${object} ${path} can't be accepted: ${why}.`);
