"""What `Ref` and `GetAtt` give for each type of resource the local cloud understands: data, no code.

`{name}` is the resource's name, `{endpoint}` the address of the AWS endpoint in use.
Return values: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-template-resource-type-ref.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """The property that names such a resource, and its identifiers (`Ref` among them) as format strings."""

    name_property: str
    identifiers: Mapping[str, str]


_FUNCTION: Final = Kind("FunctionName", {"Ref": "{name}", "Arn": "arn:aws:lambda:{region}:{account}:function:{name}"})

KINDS: Final[Mapping[str, Kind]] = {
    "AWS::CloudWatch::Alarm": Kind(
        "AlarmName", {"Ref": "{name}", "Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"}
    ),
    "AWS::DynamoDB::Table": Kind(
        "TableName",
        {
            "Ref": "{name}",
            "Arn": "arn:aws:dynamodb:{region}:{account}:table/{name}",
            # The real label is a time that only the endpoint knows; who consumes the stream asks for the latest.
            "StreamArn": "arn:aws:dynamodb:{region}:{account}:table/{name}/stream/latest",
        },
    ),
    "AWS::Events::Rule": Kind("Name", {"Ref": "{name}", "Arn": "arn:aws:events:{region}:{account}:rule/{name}"}),
    "AWS::IAM::Policy": Kind("PolicyName", {"Ref": "{name}"}),
    "AWS::IAM::Role": Kind("RoleName", {"Ref": "{name}", "Arn": "arn:aws:iam::{account}:role/{name}"}),
    "AWS::Lambda::Function": _FUNCTION,
    "AWS::Logs::LogGroup": Kind(
        "LogGroupName", {"Ref": "{name}", "Arn": "arn:aws:logs:{region}:{account}:log-group:{name}:*"}
    ),
    "AWS::S3::Bucket": Kind("BucketName", {"Ref": "{name}", "Arn": "arn:aws:s3:::{name}"}),
    "AWS::Scheduler::ScheduleGroup": Kind(
        "Name", {"Ref": "{name}", "Arn": "arn:aws:scheduler:{region}:{account}:schedule-group/{name}"}
    ),
    "AWS::Serverless::Function": _FUNCTION,
    "AWS::Serverless::HttpApi": Kind("Name", {"Ref": "{name}"}),
    "AWS::Serverless::WebSocketApi": Kind("Name", {"Ref": "{name}"}),
    "AWS::SNS::Topic": Kind("TopicName", {"Ref": "arn:aws:sns:{region}:{account}:{name}", "TopicName": "{name}"}),
    "AWS::SQS::Queue": Kind(
        "QueueName",
        {
            "Ref": "{endpoint}/{account}/{name}",
            "QueueUrl": "{endpoint}/{account}/{name}",
            "QueueName": "{name}",
            "Arn": "arn:aws:sqs:{region}:{account}:{name}",
        },
    ),
}
