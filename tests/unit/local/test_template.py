"""The template as plain data: every function, every loop, every refusal by its path."""

from pathlib import Path
from typing import Any

import pytest

from infra.local.intrinsics import Place
from infra.local.provision import MAKERS, NOT_LOCAL
from infra.local.specs import QueueSource, ScheduleSource, StreamSource, functions, socket_api
from infra.local.template import Template, read_template
from shared.errors import InvalidInput

PLACE = Place(stack="s", region="eu-west-1", account="000000000000", endpoint_url="http://localhost:1")

HEAD = """
Parameters:
  Days: {Type: Number, Default: 30, AllowedValues: [7, 30]}
  Zones: {Type: CommaDelimitedList, Default: "a, b"}
  Topic: {Type: String, Default: ""}
Conditions:
  HasTopic: !Not [!Equals [!Ref Topic, ""]]
  HasBoth: !And [!Condition HasTopic, !Equals [!Ref Days, 7]]
  HasAny: !Or [!Condition HasTopic, !Equals [!Ref Days, 7]]
Mappings:
  Sizes: {small: {Memory: 128}}
Resources:
  Queue: {Type: "AWS::SQS::Queue", Properties: {QueueName: !Sub "${AWS::StackName}-q"}}
  Table: {Type: "AWS::DynamoDB::Table"}
  Probe:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Value: """


def value_of(expression: str, **parameters: str) -> Any:
    properties = read_template(HEAD + expression, PLACE, parameters).resources["Probe"].properties
    return properties.get("Value", "no value")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Ref Days", "30"),
        ("!Ref Zones", ["a", "b"]),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref AWS::NoValue", "no value"),
        ("[1, !Ref AWS::NoValue, 2]", [1, 2]),
        ("!Ref Queue", "http://localhost:1/000000000000/s-q"),
        ("!GetAtt Queue.Arn", "arn:aws:sqs:eu-west-1:000000000000:s-q"),
        ("!GetAtt [Queue, QueueName]", "s-q"),
        ('!GetAtt [!Sub "Que${!}ue", Arn]', InvalidInput),
        ("!GetAtt [!Join ['', [Que, ue]], QueueName]", "s-q"),
        ("!Ref Table", "s-Table"),
        ("!GetAtt Table.StreamArn", "arn:aws:dynamodb:eu-west-1:000000000000:table/s-Table/stream/latest"),
        ('!Sub "${Queue.QueueName}/${AWS::AccountId}/${!Literal}"', "s-q/000000000000/${Literal}"),
        ('!Sub ["${a}-${Days}", {a: !Ref AWS::StackName}]', "s-30"),
        ('!Join ["-", [a, 1, true]]', "a-1-true"),
        ("!Select [1, !Ref Zones]", "b"),
        ('!Split [",", "x,y"]', ["x", "y"]),
        ("!FindInMap [Sizes, small, Memory]", 128),
        ("!FindInMap [Sizes, large, Memory, {DefaultValue: !Ref Days}]", "30"),
        ("!If [HasTopic, yes, !Ref AWS::NoValue]", "no value"),
        ("{Ref: {'Fn::Sub': 'Que${AWS::NoSuch}'}}", InvalidInput),
        ("2012-10-17", "2012-10-17"),
    ],
)  # fmt: skip
def test_functions_are_evaluated_as_cloudformation_does(expression: str, value: Any) -> None:
    if value is InvalidInput:
        with pytest.raises(InvalidInput):
            value_of(expression)
    else:
        assert value_of(expression) == value


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [({}, "nor"), ({"Topic": "t"}, "or"), ({"Topic": "t", "Days": "7"}, "and or")],
)
def test_conditions_follow_the_parameters(parameters: dict[str, str], expected: str) -> None:
    assert value_of("!If [HasBoth, and or, !If [HasAny, or, nor]]", **parameters) == expected


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("{'Fn::Cidr': [a, 1, 2]}", "the function Fn::Cidr is not known"),
        ("!Ref Nothing", "there is no parameter or resource 'Nothing'"),
        ("!GetAtt Queue.Colour", "Colour of a AWS::SQS::Queue is not known"),
        ("!GetAtt Queue", "expected \\[logical id, attribute\\]"),
        ("!FindInMap [Sizes, large, Memory]", "Mappings has no 'large' there"),
        ("!If [Maybe, 1, 2]", "there is no condition 'Maybe'"),
        ("!Select [5, !Ref Zones]", "the index within the list"),
        ("!Sub {a: b}", "expected a text"),
        ("!Join [a]", "expected \\[separator, list\\]"),
    ],
)
def test_what_is_not_known_is_refused_by_its_path(expression: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        value_of(expression)
    assert str(refused.value.field).startswith("Resources.Probe.Properties.Value")


@pytest.mark.parametrize(
    ("parameters", "field"), [({"Days": "8"}, "Parameters.Days"), ({"Hours": "1"}, "Parameters.Hours")]
)
def test_a_wrong_parameter_is_refused_by_its_name(parameters: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        value_of("1", **parameters)
    assert refused.value.field == field


def test_a_loop_makes_a_resource_per_item_and_ids_of_letters_and_digits() -> None:
    template = read("""
    Parameters:
      Kinds: {Type: CommaDelimitedList, Default: "one, bulk_import"}
    Resources:
      Fn::ForEach::Kinds:
        - Kind
        - !Ref Kinds
        - "&{Kind}Queue":
            Type: AWS::SQS::Queue
            Properties:
              QueueName: !Sub "${AWS::StackName}-${Kind}"
              Fn::ForEach::Sizes:
                - Size
                - [small, !Ref Kind]
                - "${Kind}${Size}": !Ref Size
          "&{Kind}Alarm":
            Type: AWS::CloudWatch::Alarm
            Properties: {Name: !GetAtt [!Sub "&{Kind}Queue", QueueName]}
    Outputs:
      Fn::ForEach::Names:
        - Kind
        - [one]
        - "${Kind}Name": {Value: !GetAtt oneQueue.QueueName}
    """)
    assert [*template.resources] == ["oneQueue", "oneAlarm", "bulkimportQueue", "bulkimportAlarm"]
    assert template.resources["bulkimportQueue"].properties == {
        "QueueName": "s-bulk_import",
        "bulk_importsmall": "small",
        "bulk_importbulk_import": "bulk_import",
    }
    assert template.resources["bulkimportQueue"].name == "s-bulk_import"
    assert template.resources["bulkimportAlarm"].properties == {"Name": "s-bulk_import"}
    assert template.outputs == {"oneName": "s-one"}


def test_globals_are_merged_into_functions_and_resources_without_their_condition_are_left_out() -> None:
    template = read("""
    Conditions: {Never: !Equals [1, 2]}
    Globals: {Function: {Timeout: 3, Environment: {Variables: {A: 1, B: 1}}, Layers: [x]}}
    Resources:
      F:
        Type: AWS::Serverless::Function
        Properties: {Timeout: 9, Environment: {Variables: {B: 2}}, Layers: [y]}
      G: {Type: AWS::SQS::Queue, Condition: Never}
    """)
    assert [*template.resources] == ["F"]
    assert template.resources["F"].properties == {
        "Timeout": 9,
        "Environment": {"Variables": {"A": 1, "B": 2}},
        "Layers": ["x", "y"],
    }


def test_a_name_that_depends_on_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match="A → B → A"):
        read("""
        Resources:
          A: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${B.QueueName}"}}
          B: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${A.QueueName}"}}
        """)


@pytest.mark.parametrize("text", ["Resources: [", "just text", "Resources: []"])
def test_a_text_that_is_no_template_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_template(text, PLACE)


def test_event_sources_are_read_with_all_their_numbers() -> None:
    events = """
            Q:
              Type: SQS
              Properties:
                Queue: arn:aws:sqs:eu-west-1:1:q
                BatchSize: 7
                MaximumBatchingWindowInSeconds: 2
                FunctionResponseTypes: [ReportBatchItemFailures]
                ScalingConfig: {MaximumConcurrency: 5}
            S:
              Type: DynamoDB
              Properties: {Stream: "arn:aws:dynamodb:eu-west-1:1:table/t/stream/latest", StartingPosition: LATEST}
            H: {Type: Schedule, Properties: {Schedule: rate(2 hours)}}
    """
    (spec,) = functions(read(_function(events)))
    assert (spec.name, spec.handler, spec.timeout_s, spec.memory_mb) == ("s-F", "a.b", 3, 128)
    assert spec.sources == (
        QueueSource("arn:aws:sqs:eu-west-1:1:q", 7, 2, 5, reports_items=True),
        StreamSource("t", False, 100, 0, False, -1, -1, reports_items=False, on_failure_arn=""),
        ScheduleSource(every_s=7200),
    )


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ("E: {Type: Api}", "Events.E"),
        ("E: {Type: SQS, Properties: {Queue: q, FilterCriteria: {}}}", "Events.E.Properties.FilterCriteria"),
        ("E: {Type: SQS, Properties: {Queue: q, BatchSize: many}}", "Events.E.Properties.BatchSize"),
        ("E: {Type: SQS}", "Events.E.Properties.Queue"),
        ("E: {Type: Schedule, Properties: {Schedule: cron(0 0 1 1)}}", "Events.E.Properties.Schedule"),
        ("E: ", "Events.E"),
        (
            "E: {Type: DynamoDB, Properties: {Stream: a/b, StartingPosition: LATEST, DestinationConfig: {OnFailure: {Destination: arn}}}}",  # noqa: E501  # YAML
            "Events.E.Properties.DestinationConfig.OnFailure.Destination",
        ),
    ],
)
def test_an_event_source_without_a_local_twin_is_refused_by_its_path(event: str, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        functions(read(_function(event)))
    assert refused.value.field == f"Resources.F.Properties.{field}"


MAPPED = """
      M:
        Type: AWS::Lambda::EventSourceMapping
        Properties: {FunctionName: !Ref F, EventSourceArn: "arn:aws:%s", BatchSize: 7}
"""


def test_a_queue_mapped_to_a_function_is_one_of_its_sources() -> None:
    (spec,) = functions(
        read(_function("H: {Type: Schedule, Properties: {Schedule: rate(2 hours)}}") + MAPPED % "sqs:q")
    )
    assert spec.sources == (ScheduleSource(7200), QueueSource("arn:aws:sqs:q", 7, 0, 1000, reports_items=False))
    with pytest.raises(InvalidInput) as refused:
        functions(read(_function("H: {Type: Schedule, Properties: {Schedule: rate(2 hours)}}") + MAPPED % "kinesis:s"))
    assert refused.value.field == "Resources.M.Properties.EventSourceArn"


def test_everything_in_our_own_template_is_either_made_locally_or_known_not_to_be() -> None:
    template = read_template(Path("template.yaml").read_text(encoding="utf-8"), PLACE)
    assert {resource.type for resource in template.resources.values()} <= MAKERS.keys() | NOT_LOCAL.keys()
    sockets = socket_api(template)
    assert sockets is not None
    assert {spec.name for spec in functions(template) if not spec.sources} == {*sockets.routes.values()}


def read(text: str) -> Template:
    return read_template(text, PLACE)


def _function(events: str) -> str:
    return f"""
    Resources:
      F:
        Type: AWS::Serverless::Function
        Properties:
          Handler: a.b
          Events:
            {events.strip()}
    """
