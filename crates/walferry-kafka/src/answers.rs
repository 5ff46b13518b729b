//! What each answer of Kafka's means: one table of every error code that a broker or librdkafka can give.
//!
//! Owns [`ANSWERS`], for the answers to produce, transaction, fetch and admin requests alike. Never: decides what follows;
//! the machine, and the table's policy, do.
//! Invariant: each code of librdkafka stands in the table once, which a test proves; a code that is not known there, of a
//! later Kafka, is a doubt on purpose, because to call it passing would wait for ever and to call it permanent would stop
//! for nothing.
//! Source: Kafka protocol guide, "Error Codes"; librdkafka's `rd_kafka_resp_err_t`.
//! Start reading at [`meaning`].

use rdkafka::error::RDKafkaErrorCode as Code;

/// What an answer means for a record and for what comes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A server is away, busy, or moves: the same passes later.
    Passing,
    /// This record is never taken as it is; others of its topic are.
    Record,
    /// Nothing is taken for this topic until somebody changes it, or our rights on it.
    Topic,
    /// Nothing is taken of us at all until somebody changes a right or a setting.
    Connector,
    /// Another producer has our transactional id, or the coordinator has given our transaction up.
    Fenced,
    /// The topic does not exist.
    NoTopic,
    /// It follows from something else that is told as well.
    Echo,
    /// It is not known what became of the request.
    Doubt,
}

/// What an answer means.
pub(crate) fn meaning(code: Code) -> Meaning {
    let known = ANSWERS.iter().find(|(_, codes)| codes.contains(&code));
    known.map_or(Meaning::Doubt, |(meaning, _)| *meaning)
}

/// What to do about an answer that does not pass, for the operator; nothing where its text says all.
pub(crate) fn remedy(code: Code) -> &'static str {
    match code {
        Code::InvalidRecord => {
            "its cleanup.policy is compact and the record has no key, or the cluster checks records itself: give the table \
             a key, leave truncates out (format.skipped_operations), or set the topic's cleanup.policy to delete"
        }
        Code::InvalidMessage => "its cleanup.policy may be compact and the record without a key",
        Code::InvalidTimestamp => {
            "raise its message.timestamp.before.max.ms and message.timestamp.after.max.ms, and look at the clocks"
        }
        Code::TopicAuthorizationFailed => "grant DESCRIBE and WRITE on it",
        Code::TransactionalIdAuthorizationFailed => {
            "grant DESCRIBE and WRITE on the transactional id"
        }
        Code::ClusterAuthorizationFailed => "grant IDEMPOTENT_WRITE on the cluster",
        Code::GroupAuthorizationFailed => "grant READ on the group",
        Code::PolicyViolation => "the cluster's policy forbids it: ask whoever runs the cluster",
        Code::UnsupportedForMessageFormat => {
            "set its message.format.version to one that has headers and transactions (0.11 or later)"
        }
        Code::UnsupportedCompressionType => "choose another compression.type in kafka.properties",
        Code::InvalidTransactionTimeout => {
            "raise the brokers' transaction.max.timeout.ms to 60000 at least"
        }
        Code::InvalidTopic => "Kafka takes letters, digits, '.', '_' and '-', 249 of them at most",
        Code::UnknownPartition => "it has fewer partitions than before",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => "raise its max.message.bytes",
        _ => "",
    }
}

/// Every code, by what it means. The order is that of the codes.
const ANSWERS: &[(Meaning, &[Code])] = &[
    (
        Meaning::Passing,
        &[
            Code::BrokerTransportFailure,
            Code::Resolve,
            Code::MessageTimedOut,
            Code::AllBrokersDown,
            Code::OperationTimedOut,
            Code::ISRInsufficient,
            Code::NodeUpdate,
            Code::SSL,
            Code::WaitingForCoordinator,
            Code::InProgress,
            Code::PreviousInProgress,
            Code::TimedOutQueue,
            Code::WaitCache,
            Code::Interrupted,
            Code::Retry,
            Code::UnknownBroker,
            Code::DestroyBroker,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::RequestTimedOut,
            Code::BrokerNotAvailable,
            Code::ReplicaNotAvailable,
            Code::StaleControllerEpoch,
            Code::NetworkException,
            Code::CoordinatorLoadInProgress,
            Code::CoordinatorNotAvailable,
            Code::NotCoordinator,
            Code::NotEnoughReplicas,
            Code::NotEnoughReplicasAfterAppend,
            Code::NotController,
            Code::ConcurrentTransactions,
            Code::TransactionCoordinatorFenced,
            Code::KafkaStorageError,
            Code::ReassignmentInProgress,
            Code::FetchSessionIdNotFound,
            Code::InvalidFetchSessionEpoch,
            Code::ListenerNotFound,
            Code::FencedLeaderEpoch,
            Code::UnknownLeaderEpoch,
            Code::StaleBrokerEpoch,
            Code::OffsetNotAvailable,
            Code::PreferredLeaderNotAvailable,
            Code::EligibleLeadersNotAvailable,
            Code::UnstableOffsetCommit,
            Code::ThrottlingQuotaExceeded,
            Code::RebootstrapRequired,
        ],
    ),
    (
        Meaning::Record,
        &[
            Code::MessageSizeTooLarge,
            Code::MessageBatchTooLarge,
            Code::InvalidTimestamp,
            Code::InvalidRecord,
        ],
    ),
    (
        Meaning::Topic,
        &[
            // Keys stay in the partitions that they were first spread over: fewer of them were never there.
            Code::UnknownPartition,
            Code::InvalidTopic,
            Code::TopicAuthorizationFailed,
            Code::InvalidPartitions,
            Code::InvalidReplicationFactor,
            Code::InvalidReplicaAssignment,
            Code::InvalidConfig,
            Code::UnsupportedForMessageFormat,
            Code::PolicyViolation,
            Code::UnsupportedCompressionType,
        ],
    ),
    (
        Meaning::Connector,
        &[
            Code::NotImplemented,
            Code::Authentication,
            Code::UnsupportedFeature,
            Code::InvalidRequiredAcks,
            Code::GroupAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::UnsupportedSASLMechanism,
            Code::IllegalSASLState,
            Code::UnsupportedVersion,
            Code::InvalidTransactionTimeout,
            Code::TransactionalIdAuthorizationFailed,
            Code::SecurityDisabled,
            Code::SaslAuthenticationFailed,
            Code::DelegationTokenAuthDisabled,
            Code::DelegationTokenNotFound,
            Code::DelegationTokenOwnerMismatch,
            Code::DelegationTokenRequestNotAllowed,
            Code::DelegationTokenAuthorizationFailed,
            Code::DelegationTokenExpired,
            Code::InvalidPrincipalType,
            Code::UnacceptableCredential,
        ],
    ),
    (
        Meaning::Fenced,
        &[
            Code::Fenced,
            Code::InvalidProducerEpoch,
            Code::ProducerFenced,
        ],
    ),
    (
        Meaning::NoTopic,
        &[
            Code::UnknownTopic,
            Code::UnknownTopicOrPartition,
            Code::UnknownTopicId,
        ],
    ),
    (
        Meaning::Echo,
        &[
            // What a replaced or aborted transaction leaves behind.
            Code::PurgeQueue,
            Code::PurgeInflight,
            Code::Noop,
            Code::NoError,
            // Of the records that share a request, the one that was refused is told with its own code.
            Code::InvalidDifferentRecord,
        ],
    ),
    (Meaning::Doubt, DOUBTS),
];

/// Codes that say too little to go by, and those of other parts of the protocol, which cannot come here: should one come
/// all the same, it is tried again, and not for ever.
const DOUBTS: &[Code] = &[
    Code::BadMessage,
    Code::BadCompression,
    Code::BrokerDestroy,
    Code::Fail,
    Code::CriticalSystemResource,
    Code::PartitionEOF,
    Code::FileSystem,
    Code::InvalidArgument,
    // Waited out where a record is queued, and nowhere else told.
    Code::QueueFull,
    Code::UnknownGroup,
    Code::ExistingSubscription,
    Code::AssignPartitions,
    Code::RevokePartitions,
    Code::Conflict,
    Code::State,
    Code::UnknownProtocol,
    Code::NoOffset,
    Code::Outdated,
    Code::KeySerialization,
    Code::ValueSerialization,
    Code::KeyDeserialization,
    Code::ValueDeserialization,
    Code::Partial,
    Code::ReadOnly,
    Code::NoEnt,
    Code::Underflow,
    Code::InvalidType,
    Code::Fatal,
    Code::Inconsistent,
    Code::GaplessGuarantee,
    Code::PollExceeded,
    Code::NotConfigured,
    Code::Application,
    Code::AssignmentLost,
    Code::AutoOffsetReset,
    Code::LogTruncation,
    Code::Unknown,
    Code::OffsetOutOfRange,
    // CORRUPT_MESSAGE: the network's fault, or a record without a key before Kafka 2.4.
    Code::InvalidMessage,
    Code::InvalidMessageSize,
    Code::OffsetMetadataTooLarge,
    Code::IllegalGeneration,
    Code::InconsistentGroupProtocol,
    Code::InvalidGroupId,
    Code::UnknownMemberId,
    Code::InvalidSessionTimeout,
    Code::RebalanceInProgress,
    Code::InvalidCommitOffsetSize,
    Code::TopicAlreadyExists,
    Code::InvalidRequest,
    Code::OutOfOrderSequenceNumber,
    Code::DuplicateSequenceNumber,
    Code::InvalidTransactionalState,
    // The coordinator has forgotten us: a new producer gets a new id.
    Code::InvalidProducerIdMapping,
    Code::OperationNotAttempted,
    Code::LogDirNotFound,
    Code::UnknownProducerId,
    Code::NonEmptyGroup,
    Code::GroupIdNotFound,
    Code::TopicDeletionDisabled,
    Code::MemberIdRequired,
    Code::GroupMaxSizeReached,
    Code::FencedInstanceId,
    Code::ElectionNotNeeded,
    Code::NoReassignmentInProgress,
    Code::GroupSubscribedToTopic,
    Code::ResourceNotFound,
    Code::DuplicateResource,
    Code::InconsistentVoterSet,
    Code::InvalidUpdateVersion,
    Code::FeatureUpdateFailed,
    Code::PrincipalDeserializationFailure,
    Code::FencedMemberEpoch,
    Code::UnreleasedInstanceId,
    Code::UnsupportedAssignor,
    Code::StaleMemberEpoch,
    Code::UnknownSubscriptionId,
    Code::TelemetryTooLarge,
];

#[cfg(test)]
mod tests {
    use rdkafka_sys::rd_kafka_resp_err_t;

    use super::*;

    #[test]
    fn every_code_of_librdkafka_stands_in_the_table_once() {
        let mut codes = 0;
        for number in -199..=1_000 {
            let Ok(native) = rd_kafka_resp_err_t::try_from(number) else {
                continue;
            };
            let code = Code::from(native);
            if matches!(code, Code::Begin | Code::End | Code::EndAll) {
                continue;
            }
            let listed: usize = ANSWERS
                .iter()
                .map(|(_, all)| all.iter().filter(|it| **it == code).count())
                .sum();
            assert_eq!(listed, 1, "{number}: {code:?}");
            codes += 1;
        }
        assert!(codes > 150, "{codes}");
    }

    #[test]
    fn what_a_broker_will_refuse_again_is_no_doubt() {
        for (code, expected) in [
            (Code::InvalidRecord, Meaning::Record),
            (Code::MessageSizeTooLarge, Meaning::Record),
            (Code::MessageBatchTooLarge, Meaning::Record),
            (Code::InvalidTimestamp, Meaning::Record),
            (Code::TopicAuthorizationFailed, Meaning::Topic),
            (Code::PolicyViolation, Meaning::Topic),
            (Code::UnsupportedForMessageFormat, Meaning::Topic),
            (Code::TransactionalIdAuthorizationFailed, Meaning::Connector),
            (Code::NotEnoughReplicas, Meaning::Passing),
            (Code::PurgeInflight, Meaning::Echo),
            (Code::Unknown, Meaning::Doubt),
        ] {
            assert_eq!(meaning(code), expected, "{code:?}");
        }
    }
}
